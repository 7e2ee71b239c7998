//! No text makes a kubeconfig's reader panic, exceed its limits, or repeat what it hides.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tidings_http::kubeconfig::{
    high::{Kubeconfig, Overrides},
    low,
};

/// A word that stands in every secret of the corpus.
const CANARY: &str = "hunter2";

fuzz_target!(|data: &[u8]| {
    let config = match low::parse(data) {
        Ok(config) => config,
        Err(error) => {
            // A kind and a place: there is no room for a word of the text.
            let told = error.to_string();
            let (kind, place) = told.split_once(" at line ").expect("a place");
            assert_eq!(kind, error.kind.to_string());
            let is_number = |c: char| c.is_ascii_digit() || ", column".contains(c);
            assert!(place.chars().all(is_number), "{told}");
            return;
        }
    };
    // What the parsed values hide in their own Debug, nothing that is made of them may show.
    let hides = !format!("{config:?}").contains(CANARY);
    let mut contexts: Vec<Option<String>> = vec![None];
    contexts.extend(
        config
            .contexts
            .iter()
            .take(4)
            .map(|named| Some(named.name.clone())),
    );
    let mut kubeconfig = Kubeconfig::default();
    if let Err(error) = kubeconfig.merge(config, Path::new("folder/config")) {
        assert!(!hides || !format!("{error} {error:?}").contains(CANARY));
        return;
    }
    for context in contexts {
        let overrides = Overrides {
            context,
            ..Overrides::default()
        };
        let told = match kubeconfig.resolve(&overrides) {
            Ok(resolved) => {
                let (host, prefix) = (resolved.endpoint.host(), resolved.endpoint.prefix());
                assert!(!prefix.contains("//"), "no path: {prefix}");
                // A host and a path are no secrets, whatever word stands in them.
                if host.contains(CANARY) || prefix.contains(CANARY) {
                    continue;
                }
                format!("{resolved:?}")
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                format!("{error} {error:?} {source:?}")
            }
        };
        assert!(!hides || !told.contains(CANARY), "{told}");
    }
});
