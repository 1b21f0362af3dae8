//! Results that may be asked for again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The newest results by what they were made of.
pub(super) struct Recent<K, V> {
    held: Mutex<Vec<(K, Arc<V>, usize)>>,
    most: usize,
}

impl<K: PartialEq, V> Recent<K, V> {
    /// Holds at most `most` bytes of them, but always the last one.
    pub(super) fn new(most: usize) -> Self {
        Self { held: Mutex::new(Vec::new()), most }
    }

    /// The result for `key`, made now if it is not held; `bytes` says how large a result is.
    pub(super) fn get<E>(
        &self,
        key: K,
        bytes: impl FnOnce(&V) -> usize,
        make: impl FnOnce(&K) -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        if let Some((_, known, _)) = self.lock().iter().find(|(held, ..)| *held == key) {
            return Ok(Arc::clone(known));
        }
        // Without the lock: making one takes long, and two threads that make the same do no harm.
        let value = Arc::new(make(&key)?);
        let size = bytes(&value);
        let mut held = self.lock();
        while !held.is_empty() && held.iter().map(|(.., size)| size).sum::<usize>() + size > self.most {
            held.remove(0);
        }
        held.push((key, Arc::clone(&value), size));
        Ok(value)
    }

    /// Nobody panics with the lock in hand.
    fn lock(&self) -> MutexGuard<'_, Vec<(K, Arc<V>, usize)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_result_is_forgotten_and_made_again() {
        let recent = Recent::new(20);
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1] {
            let make = |key: &i32| {
                made.push(*key);
                Ok::<_, ()>(key * 10)
            };
            let value = recent.get(key, |_| 10, make);
            assert_eq!(value.as_deref(), Ok(&(key * 10)));
        }
        assert_eq!(made, [1, 2, 3, 1]);
        assert_eq!(recent.get(9, |_| 10, |_| Err("no")), Err("no"));
    }
}
