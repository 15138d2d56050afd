//! `moat token`.

use super::running;
use crate::args::{DataOutput, Token as Args, TokenCommand};
use crate::exit::{Ended, Failure, Outcome};
use crate::out::print;
use core::fmt::Write as _;
use moat_cluster::control::{Ask, ask};
use moat_cluster::token::{Join, Token};
use serde_json::{Value, json};

pub(crate) fn token(args: &Args) -> Outcome {
    match &args.command {
        TokenCommand::Create { named, ttl, description, print_join_command, output } => {
            let home = running(&named.name)?;
            let ttl = seconds(ttl)?;
            let question = Ask::TokenCreate { ttl, description: description.clone() };
            let made: Join = told(ask(&home.socket(), &question))?;
            let value = json!({ "schema": "moat.dev/token/v1", "token": made.token, "server": made.server, "caCertHash": made.ca_cert_hash });
            print(&match output {
                DataOutput::Text if *print_join_command => format!("{}\n", made.command()),
                DataOutput::Text => format!("{}\n", made.token.token),
                DataOutput::Json => format!("{value:#}\n"),
                DataOutput::Yaml => moat_report::yaml::render(&value),
            })?;
        }
        TokenCommand::List { named, output } => {
            let home = running(&named.name)?;
            let tokens: Vec<Token> = told(ask(&home.socket(), &Ask::TokenList))?;
            print(&list(&tokens, *output))?;
        }
        TokenCommand::Delete { named, token } => {
            let home = running(&named.name)?;
            let question = Ask::TokenDelete { token: token.clone() };
            ask(&home.socket(), &question).map_err(Failure::input)?;
            print("the token is taken back\n")?;
        }
    }
    Ok(Ended::Yes)
}

fn told<T: serde::de::DeserializeOwned>(answer: Result<Value, String>) -> Result<T, Failure> {
    let answer = answer.map_err(Failure::Environment)?;
    serde_json::from_value(answer).map_err(|error| {
        Failure::Environment(format!("an answer of another version of moat: {error}"))
    })
}

fn list(tokens: &[Token], output: DataOutput) -> String {
    let value = json!({ "schema": "moat.dev/tokens/v1", "tokens": tokens });
    match output {
        DataOutput::Json => return format!("{value:#}\n"),
        DataOutput::Yaml => return moat_report::yaml::render(&value),
        DataOutput::Text => {}
    }
    if tokens.is_empty() {
        return "no tokens\n".to_owned();
    }
    let mut text = format!("{:<24} {:<21} {}\n", "TOKEN", "EXPIRES", "DESCRIPTION");
    for token in tokens {
        let expires = token.expires.as_deref().unwrap_or("never");
        let _ = writeln!(
            text,
            "{}",
            format!("{:<24} {expires:<21} {}", token.token, token.description).trim_end()
        );
    }
    text
}

/// Seconds of `1h30m`; 0 is for ever.
fn seconds(text: &str) -> Result<u64, Failure> {
    let known = if text == "0" { Some(0) } else { moat_flow::seconds(text).filter(|n| 0 < *n) };
    known.ok_or_else(|| {
        Failure::with_help(
            format!("`{text}` is no time"),
            "write it as 30m, 2h or 1h30m; 0 is for ever",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_for_ever_is_asked_for() {
        let of = |text| seconds(text).ok();
        assert_eq!((of("0"), of("90s"), of("1h30m")), (Some(0), Some(90), Some(5400)));
        for bad in ["", "0h", "5", "-1h", "99999999999999999999h"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
