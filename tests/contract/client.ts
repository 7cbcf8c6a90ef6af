// What a strict TypeScript program does with the generated types.
import type { components, operations } from "./api";

type Run = components["schemas"]["Run"];
type Problem = components["schemas"]["Problem"];
type Runs = operations["list_runs"]["responses"][200]["content"]["application/json"];

export function findStuck(page: Runs): Run[] {
    return page.items.filter((run) => run.phase === "stuck");
}

export function isStale(problem: Problem): boolean {
    return problem.type === "/problems/stale_version";
}
