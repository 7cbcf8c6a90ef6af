//! `ocim appserver explain`: where a variable comes from.

use super::client::{Client, encode};
use super::error::CliError;
use super::output::{Output, time};
use ocim_api_spec::{
    ReferenceKind, SettingEdit, VariableExplanation, VariableLayer, VariableSource,
};

/// Tells what the layers say of a variable of an appserver.
///
/// # Errors
/// What the server says, also where there is no such variable.
pub(super) async fn explain_variable(
    appserver: &str,
    variable: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Appserver, appserver).await?;
    let path = format!("/appservers/{id}/variables/{}", encode(variable));
    let explained: VariableExplanation = client.get(&path).await?;
    if output.json {
        return output.record(&explained);
    }
    output.line(format!("{} = {}", explained.variable, explained.value))?;
    for layer in &explained.layers {
        output.line(tell_layer(layer))?;
        for source in &layer.sources {
            output.line(format!("    from {}", tell_source(source)))?;
        }
        if let Some(overridden) = &layer.overridden {
            output.line(format!("    overridden: it was {overridden}"))?;
        }
    }
    Ok(())
}

fn tell_layer(layer: &VariableLayer) -> String {
    let alike = if layer.sources.is_empty() { ", the same for every site" } else { "" };
    format!("  {}: {}{alike}", layer.layer, layer.rule)
}

fn tell_source(source: &VariableSource) -> String {
    match &source.set {
        Some(set) => format!("{}{}", source.description, tell_edit(set)),
        None => source.description.clone(),
    }
}

/// Who gave a setting its value, to be put behind it.
pub(super) fn tell_edit(set: &SettingEdit) -> String {
    format!(" (version {}, by {}, {})", set.version, set.actor, time(set.at))
}
