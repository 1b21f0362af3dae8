//! Which graphs with adapters stay loaded: those used last, as far as the memory goes.

use std::sync::{Arc, Mutex, PoisonError};

/// Loaded things with their sizes, the one used last at the end.
///
/// What somebody still works with stays alive until they are done, but is not found here any more.
pub struct Residency<K, V> {
    held: Mutex<Vec<Held<K, V>>>,
    budget: u64,
}

struct Held<K, V> {
    key: K,
    value: Arc<V>,
    bytes: u64,
}

impl<K: PartialEq, V> Residency<K, V> {
    /// Holds at most `budget` bytes, but always what room was made for last.
    pub fn new(budget: u64) -> Self {
        Self { held: Mutex::new(Vec::new()), budget }
    }

    /// Lets go of what was used least recently until things with these keys and sizes, in bytes, fit together. Those of them
    /// that are held stay.
    pub fn make_room(&self, wanted: &[(&K, u64)]) {
        let mut held = self.lock();
        let is_wanted = |one: &Held<K, V>| wanted.iter().any(|(key, _)| **key == one.key);
        let needed: u64 = wanted.iter().map(|(_, bytes)| bytes).sum();
        let others = |held: &[Held<K, V>]| held.iter().filter(|one| !is_wanted(one)).map(|one| one.bytes).sum::<u64>();
        while others(&held) > 0 && others(&held) + needed > self.budget {
            let Some(oldest) = held.iter().position(|one| !is_wanted(one)) else { return };
            held.remove(oldest);
        }
    }

    /// Lets go of everything else.
    pub fn keep_only(&self, wanted: &[&K]) {
        self.lock().retain(|one| wanted.iter().any(|key| **key == one.key));
    }

    /// What is held under `key`, or what `load` gives, which takes `bytes`.
    pub fn get<E>(&self, key: K, bytes: u64, load: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        if let Some(known) = self.find(&key) {
            return Ok(known);
        }
        let value = Arc::new(load()?);
        self.lock().push(Held { key, value: Arc::clone(&value), bytes });
        Ok(value)
    }

    fn find(&self, key: &K) -> Option<Arc<V>> {
        let mut held = self.lock();
        let index = held.iter().position(|one| one.key == *key)?;
        let found = held.remove(index);
        let value = Arc::clone(&found.value);
        held.push(found);
        Some(value)
    }

    /// Nobody panics with the lock in hand.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Held<K, V>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_when_there_is_no_room() {
        let (held, loads) = (Residency::new(100), Cell::new(0));
        let get = |key: &'static str, bytes| {
            let load = || -> Result<&str, ()> {
                loads.set(loads.get() + 1);
                Ok(key)
            };
            held.make_room(&[(&key, bytes)]);
            assert_eq!(*held.get(key, bytes, load).unwrap(), key);
            loads.get()
        };
        assert_eq!((get("a", 40), get("b", 40), get("a", 40)), (1, 2, 2));
        assert_eq!((get("c", 40), get("a", 40), get("b", 40)), (3, 3, 4));
        assert_eq!((get("huge", 1000), get("huge", 1000), get("a", 40)), (5, 5, 6));
    }

    #[test]
    fn what_is_used_together_stays_together_however_little_room_there_is() {
        let held = Residency::new(1);
        for _ in 0..3 {
            held.make_room(&[(&"unet", 50), (&"texts", 50)]);
            for key in ["unet", "texts"] {
                held.get(key, 50, || Ok::<_, ()>(key)).unwrap();
            }
        }
        assert!(["unet", "texts"].iter().all(|key| held.find(key).is_some()));
        held.keep_only(&[&"texts"]);
        assert_eq!(held.find(&"unet"), None);
    }

    #[test]
    fn what_cannot_be_loaded_is_not_held() {
        let held: Residency<u8, u8> = Residency::new(10);
        assert_eq!(held.get(1, 1, || Err("no")), Err("no"));
        assert_eq!(held.get(1, 1, || Ok::<_, ()>(5)).as_deref(), Ok(&5));
    }
}
