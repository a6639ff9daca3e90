//! Places for keys, named by handles that are never given twice.

/// Bits of a handle that say which place; the rest, up to 2^53, say which of its tenants.
const INDEX_BITS: u32 = 24;
const LAST_TENANCY: u64 = (1 << (53 - INDEX_BITS)) - 1;

/// Holds values and names them by handles, which JavaScript keeps as numbers. A handle whose value is gone never reaches another
/// one: each tenant of a place has a number of its own, and a place whose numbers are spent is not let again. 0 is no handle.
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
}

struct Place<T> {
    tenancy: u64,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// How many values are held.
    pub fn len(&self) -> usize {
        self.places.iter().filter(|place| place.value.is_some()).count()
    }

    /// Takes a value; its handle, or none when all 16,777,216 places are let.
    pub fn insert(&mut self, value: T) -> Option<u64> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() >> INDEX_BITS != 0 => return None,
            None => {
                self.places.push(Place { tenancy: 0, value: None });
                self.places.len() - 1
            }
        };
        let place = &mut self.places[index];
        place.tenancy += 1;
        place.value = Some(value);
        Some(place.tenancy << INDEX_BITS | index as u64)
    }

    pub fn get(&mut self, handle: u64) -> Option<&mut T> {
        let (index, tenancy) = parts(handle);
        self.places.get_mut(index).filter(|place| place.tenancy == tenancy)?.value.as_mut()
    }

    /// Drops the value, which wipes itself. False when it was gone already.
    pub fn remove(&mut self, handle: u64) -> bool {
        let (index, tenancy) = parts(handle);
        let Some(place) = self.places.get_mut(index).filter(|place| place.tenancy == tenancy) else {
            return false;
        };
        if place.value.take().is_none() {
            return false;
        }
        if tenancy < LAST_TENANCY {
            self.free.push(index);
        }
        true
    }
}

fn parts(handle: u64) -> (usize, u64) {
    ((handle & ((1 << INDEX_BITS) - 1)) as usize, handle >> INDEX_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_holds_and_nothing_else() {
        let mut slab = Slab::new();
        let (one, two) = (slab.insert('a').unwrap(), slab.insert('b').unwrap());
        assert_eq!(slab.get(one).copied(), Some('a'));
        assert_eq!(slab.get(two).copied(), Some('b'));
        for stranger in [0, one + 7, u64::MAX, 1 << 53] {
            assert_eq!(slab.get(stranger), None);
            assert!(!slab.remove(stranger));
        }
        assert_eq!(slab.len(), 2);
    }

    #[test]
    fn never_takes_an_old_handle_for_a_place_s_next_tenant() {
        let mut slab = Slab::new();
        let old = slab.insert('a').unwrap();
        assert!(slab.remove(old));
        assert!(!slab.remove(old));
        let new = slab.insert('b').unwrap();
        assert_ne!(old, new);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.len(), 1);
        assert!(!slab.remove(old));
        assert_eq!(slab.get(new).copied(), Some('b'));
    }

    #[test]
    fn does_not_let_a_place_again_whose_numbers_are_spent() {
        let mut slab = Slab::new();
        slab.places.push(Place { tenancy: LAST_TENANCY - 1, value: None });
        slab.free.push(0);
        let last = slab.insert('a').unwrap();
        assert!(last < 1 << 53);
        assert!(slab.remove(last));
        assert_eq!(parts(slab.insert('b').unwrap()).0, 1);
    }
}
