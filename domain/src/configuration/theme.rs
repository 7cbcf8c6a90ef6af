//! The layer of the theme: colours, logo and favicon of a site (core §5.9).

use super::color::contrast_color;
use super::layer::{Composed, Layer, Site, variables};
use serde_json::{Value, json};

/// Colours of links and buttons where a theme names none.
const USUAL_COLOR: &str = "#126f9a";
/// Backgrounds of header and footer where a theme names none.
const USUAL_BACKGROUND: &str = "#ffffff";

/// A value of the theme with the name of its setting.
type Given<'a> = (&'static str, &'a str);

/// Nothing unless the theme is wanted, and something is said of it.
pub(super) fn theme_layer(site: &Site<'_>) -> Composed {
    let settings = site.settings;
    let given: [Given<'_>; 6] = [
        ("theme_main_color", &settings.theme_main_color),
        ("theme_link_color", &settings.theme_link_color),
        ("theme_header_bg_color", &settings.theme_header_bg_color),
        ("theme_footer_bg_color", &settings.theme_footer_bg_color),
        ("theme_logo_url", &settings.theme_logo_url),
        ("theme_favicon_url", &settings.theme_favicon_url),
    ];
    if !settings.deploy_simpletheme || given.iter().all(|(_, value)| value.is_empty()) {
        return Ok(Layer::new());
    }
    let or = |(name, value): Given<'_>, usual: &str| {
        site.set(name, if value.is_empty() { usual } else { value }.to_owned())
    };
    let [main, link, header, footer, logo, favicon] = given;
    let main = || or(main, USUAL_COLOR);
    let link = || or(link, USUAL_COLOR);
    let header = || or(header, USUAL_BACKGROUND);
    let footer = || or(footer, USUAL_BACKGROUND);
    let wanted = |value: Value| site.set("deploy_simpletheme", value);
    let site_wide = &site.context.site_wide;
    let files = || {
        let files = [(logo, "logo.png"), (favicon, "favicon.ico")].into_iter();
        let files = files.filter(|((_, url), _)| !url.is_empty());
        let place = |((name, url), file): (Given<'_>, &str)| json!({ "url": site.set(name, url), "dest": format!("lms/static/images/{file}") });
        files.map(place).collect::<Value>()
    };
    Ok(variables!(site => {
        "SIMPLETHEME_ENABLE_DEPLOY" => wanted(true.into()),
        "EDXAPP_DEFAULT_SITE_THEME" => wanted("simple-theme".into()),
        "EDXAPP_COMPREHENSIVE_THEME_SOURCE_REPO" =>
            site.configured("SIMPLE_THEME_SKELETON_THEME_REPO", &site_wide.theme_repository),
        "EDXAPP_COMPREHENSIVE_THEME_VERSION" =>
            site.configured("SIMPLE_THEME_SKELETON_THEME_VERSION", &site_wide.theme_version),
        "SIMPLETHEME_SASS_OVERRIDES" => [
            json!({ "variable": "link-color", "value": link() }),
            json!({ "variable": "button-color", "value": main() }),
            json!({ "variable": "action-primary-bg", "value": main() }),
            json!({ "variable": "action-secondary-bg", "value": main() }),
            json!({
                "variable": "theme-colors",
                "value": format!("(\"primary\": {0}, \"secondary\": {0})", main()),
            }),
        ],
        "SIMPLETHEME_STATIC_FILES_URLS" => files(),
        "SIMPLETHEME_EXTRA_SASS" => format!(
            "$main-color: {};\n$link-color: {};\n$header-bg: {};\n$header-font-color: {};\n\
             $footer-bg: {};\n$footer-font-color: {};\n",
            main(),
            link(),
            header(),
            contrast_color(&header()),
            footer(),
            contrast_color(&footer()),
        ),
    }))
}
