//! A launch, rehearsed.

use crate::examples::{Example, second};
use crate::settings_version::SettingChange;
use crate::texts::{
    Actor, AppserverId, Commit, LogPosition, Prose, RunId, SettingName, StepPath, VariableName,
    Word,
};
use crate::variable::{SettingEdit, VariableLayer, VariableSource};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// What a launch would make now. Nothing of it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LaunchPlan {
    /// The number that the Appserver would have.
    #[schema(minimum = 1)]
    pub number: u32,
    /// The version of the settings that it would be made from.
    #[schema(minimum = 1)]
    pub settings_version: u64,
    /// Whatever would stop the launch, all of it.
    #[schema(max_items = 100)]
    pub problems: Vec<PlanProblem>,
    /// What is worth knowing, and stops nothing.
    #[schema(value_type = Vec<Prose>, max_items = 1000)]
    pub notes: Vec<String>,
    /// The commit that `configuration_version` means now; none where it can't be told, and where the
    /// playbook ships inside Ocim.
    #[schema(value_type = Option<Commit>)]
    pub configuration_commit: Option<String>,
    /// The same of the playbook that all sites share.
    #[schema(value_type = Option<Commit>)]
    pub common_commit: Option<String>,
    /// The Appserver that it is compared with: the newest in traffic; none where none is.
    #[schema(value_type = Option<AppserverId>)]
    pub compared_with: Option<String>,
    /// The settings that have changed since that one was made.
    #[schema(max_items = 1000)]
    pub settings: Vec<PlannedSetting>,
    /// The variables that would be others.
    #[schema(max_items = 100_000)]
    pub differences: Vec<VariableDifference>,
    /// The steps, in order.
    #[schema(max_items = 1000)]
    pub steps: Vec<PlannedStep>,
    /// The variables of the site's own playbook, each secret as `<protected>`; none where the settings
    /// make none.
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Map<String, Value>>,
    /// Those of the playbook that makes LMS users.
    #[schema(value_type = Option<Object>)]
    pub users_variables: Option<Map<String, Value>>,
    /// Those of the playbook that all sites share.
    #[schema(value_type = Option<Object>)]
    pub common_variables: Option<Map<String, Value>>,
}

/// Something that would stop a launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanProblem {
    /// The step that it would stop; `request` where the launch would not begin.
    #[schema(value_type = StepPath)]
    pub step: String,
    /// Its name, which `ocim explain` knows.
    #[schema(value_type = Option<Word>)]
    pub code: Option<String>,
    /// What is wrong.
    #[schema(value_type = Prose)]
    pub message: String,
    /// Whether it may pass by itself.
    pub may_pass: bool,
    /// The run that is in the way.
    #[schema(value_type = Option<RunId>)]
    pub run: Option<String>,
}

/// A setting that has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedSetting {
    /// What it was, and what it is.
    #[serde(flatten)]
    pub change: SettingChange,
    /// Who has changed it last.
    pub set: Option<SettingEdit>,
}

/// A variable that would be another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariableDifference {
    /// Which playbook gets it.
    pub playbook: Playbook,
    /// Its name.
    #[schema(value_type = VariableName)]
    pub variable: String,
    /// What it would be; none where it would not be there.
    pub planned: Option<Value>,
    /// What it is; none where it is not there.
    pub live: Option<Value>,
    /// Why it differs.
    #[schema(value_type = Vec<Prose>, max_items = 1000)]
    pub because: Vec<String>,
    /// What the layers say of it, lowest first; of the site's own playbook alone.
    #[schema(max_items = 6)]
    pub layers: Vec<VariableLayer>,
}

/// A playbook of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Playbook {
    /// The site's own.
    Main,
    /// The one that makes LMS users.
    Users,
    /// The one that all sites share.
    Common,
}

/// A step of a launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStep {
    /// Its path.
    #[schema(value_type = StepPath)]
    pub step: String,
    /// Why it would be skipped; none where it would run.
    #[schema(value_type = Option<Prose>)]
    pub skipped: Option<String>,
}

impl Example for LaunchPlan {
    fn example() -> Self {
        let set = SettingEdit {
            event: LogPosition::EXAMPLE.to_owned(),
            version: 3,
            actor: Actor::EXAMPLE.to_owned(),
            at: second(60),
        };
        let source = VariableSource {
            description: "the instance's setting `external_lms_domain`".to_owned(),
            setting: Some(SettingName::EXAMPLE.to_owned()),
            set: Some(set.clone()),
        };
        let layer = VariableLayer {
            layer: "base".to_owned(),
            rule: "what every site starts from".to_owned(),
            sources: vec![source],
            overridden: None,
        };
        Self {
            number: 3,
            settings_version: 3,
            problems: vec![PlanProblem {
                step: "create_server".to_owned(),
                code: Some("machine_not_offered".to_owned()),
                message: "the region has no flavor that fits {\"ram\":1}".to_owned(),
                may_pass: false,
                run: None,
            }],
            notes: vec![
                "uploads are kept on the appserver's own machine, and go with it".to_owned(),
            ],
            configuration_commit: Some(Commit::EXAMPLE.to_owned()),
            common_commit: None,
            compared_with: Some(AppserverId::EXAMPLE.to_owned()),
            settings: vec![PlannedSetting {
                change: SettingChange {
                    setting: SettingName::EXAMPLE.to_owned(),
                    is_protected: false,
                    before: Some(json!("")),
                    since: Some(json!("learn.alpha.example")),
                },
                set: Some(set),
            }],
            differences: vec![VariableDifference {
                playbook: Playbook::Main,
                variable: VariableName::EXAMPLE.to_owned(),
                planned: Some(json!("learn.alpha.example")),
                live: Some(json!("alpha.example.com")),
                because: vec!["the setting was changed by token:alice (version 3)".to_owned()],
                layers: vec![layer],
            }],
            steps: vec![PlannedStep {
                step: "run_users_playbook".to_owned(),
                skipped: Some("the instance has no LMS users".to_owned()),
            }],
            variables: Some(Map::from_iter([(
                VariableName::EXAMPLE.to_owned(),
                json!("learn.alpha.example"),
            )])),
            users_variables: Some(Map::from_iter([("django_users".to_owned(), json!([]))])),
            common_variables: Some(Map::new()),
        }
    }
}
