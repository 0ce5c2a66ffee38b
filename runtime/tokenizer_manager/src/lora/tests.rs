use std::time::Duration;

use super::*;

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

fn registry(names: &[&str], max_loaded_loras: Option<usize>) -> LoraRegistry {
    let adapters = names.iter().map(|name| LoRARef::at_start(name, "/p", *name == "pinned")).collect();
    LoraRegistry::new(LoraSettings { adapters, max_loaded_loras })
}

#[test]
fn an_unknown_name_is_refused_with_those_that_are_known() {
    let registry = registry(&["a", "it's"], None);
    assert_eq!(
        registry.to_reload(&[some("x")]).unwrap_err().0,
        "Got LoRA adapter that has never been loaded: x\nAll loaded adapters: dict_keys(['a', \"it's\"])."
    );
    assert_eq!(
        registry.unregister("x").unwrap_err().0,
        "LoRA with name x does not exist. Loaded LoRAs: odict_keys(['a', \"it's\"])"
    );
    assert!(registry.register(LoRARef::new("a", "/q", false)).unwrap_err().0.contains("already exists"));
    assert!(registry.acquire(&[some("a"), some("x")]).unwrap_err().0.contains("are not loaded: x"));
}

#[test]
fn the_least_recently_used_one_makes_room_and_is_loaded_again_when_asked_for() {
    let registry = registry(&["pinned", "a", "b"], Some(3));
    assert_eq!(registry.one_too_many(), Ok(None));
    assert!(registry.to_reload(&[some("a")]).unwrap().is_empty());
    registry.register(LoRARef::new("c", "/c", false)).unwrap();
    assert_eq!(registry.one_too_many(), Ok(some("b")));
    let id = registry.unregister("b").unwrap();
    assert_eq!(registry.unregister("b").unwrap(), id, "an unload that failed is tried again");
    assert!(registry.check_loadable("b").is_err());
    registry.unloaded("b");
    registry.check_loadable("b").unwrap();
    let again = registry.to_reload(&[some("b"), None, some("b")]).unwrap();
    assert_eq!(again.iter().map(|lora| lora.name()).collect::<Vec<_>>(), ["b"]);
    let too_many = registry.to_reload(&[some("a"), some("b"), some("c"), None]).unwrap_err().0;
    assert_eq!(too_many, "Received request with 4 unique loras requested but max loaded loras is 3");
    let names: Vec<_> = registry.registered().iter().map(|lora| lora.name().to_owned()).collect();
    assert_eq!(names, ["pinned", "a", "c"]);
}

#[tokio::test]
async fn an_unload_waits_for_the_last_request() {
    let registry = registry(&["a"], None);
    let held = registry.acquire(&[some("a"), None, some("a")]).unwrap();
    assert_eq!(held.iter().flatten().count(), 2);
    let copy = held[0].clone();
    let id = registry.unregister("a").unwrap();
    drop(held);
    let patience = Duration::from_millis(30);
    assert!(tokio::time::timeout(patience, registry.wait_for_unload(&id)).await.is_err());
    let (waited, ()) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(5), registry.wait_for_unload(&id)), async {
            tokio::time::sleep(patience).await;
            drop(copy);
        });
    waited.unwrap();
}

#[test]
fn a_new_scheduler_is_told_what_changed_since_the_start() {
    let registry = registry(&["a", "b"], None);
    registry.unregister("a").unwrap();
    registry.register(LoRARef::new("c", "/c", false)).unwrap();
    let (load, forget) = registry.after_restart();
    assert_eq!((load.len(), load[0].name()), (1, "c"));
    assert_eq!((forget.len(), forget[0].name()), (1, "a"));
    registry.check_loadable("a").unwrap();
}
