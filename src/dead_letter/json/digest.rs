//! A digest of what a value serializes to.
//!
//! Values that serialize differently have different digests. The order of elements in sequences and maps does not count:
//! JSON keeps it, but a type such as `HashSet` does not. The order in a tuple counts.

use std::hash::{Hash, Hasher};

use serde::{Serialize, ser};

use super::depth::{DepthLeft, EncodeError};

/// The name that `serde_json` gives to its `RawValue`. Its contents are not compared: only their white space can change.
const RAW: &str = "$serde_json::private::RawValue";

pub(super) fn digest<T: Serialize + ?Sized>(value: &T) -> Result<u64, EncodeError> {
    value.serialize(Digest(DepthLeft::ALL))
}

#[derive(Clone, Copy)]
struct Digest(DepthLeft);

/// The hash of a part. The number at its beginning says what kind of part it is.
fn hash_of(part: impl Hash) -> u64 {
    let mut hasher = WordHasher(0);
    part.hash(&mut hasher);
    hasher.finish()
}

/// A hash of a few words. That of the standard library takes ten times as long for a number.
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        // The length distinguishes zeros at the end from padding.
        self.write_u64(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, word: u64) {
        // Each step is reversible, so that no two words give the same result.
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014), so that sums of hashes differ if the parts differ.
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

macro_rules! plain {
    ($($method:ident($kind:ty) = $number:literal;)+) => {$(
        fn $method(self, value: $kind) -> Result<u64, EncodeError> {
            Ok(hash_of(($number, value)))
        }
    )+};
}

impl ser::Serializer for Digest {
    type Ok = u64;
    type Error = EncodeError;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    plain! {
        serialize_bool(bool) = 0_u8;
        serialize_i8(i8) = 1_u8;
        serialize_i16(i16) = 2_u8;
        serialize_i32(i32) = 3_u8;
        serialize_i64(i64) = 4_u8;
        serialize_i128(i128) = 5_u8;
        serialize_u8(u8) = 6_u8;
        serialize_u16(u16) = 7_u8;
        serialize_u32(u32) = 8_u8;
        serialize_u64(u64) = 9_u8;
        serialize_u128(u128) = 10_u8;
        serialize_char(char) = 11_u8;
        serialize_str(&str) = 12_u8;
        serialize_bytes(&[u8]) = 13_u8;
        serialize_unit_struct(&'static str) = 14_u8;
    }

    fn serialize_f32(self, value: f32) -> Result<u64, EncodeError> {
        Ok(hash_of((15_u8, value.to_bits())))
    }

    fn serialize_f64(self, value: f64) -> Result<u64, EncodeError> {
        Ok(hash_of((16_u8, value.to_bits())))
    }

    fn serialize_none(self) -> Result<u64, EncodeError> {
        Ok(hash_of(17_u8))
    }

    fn serialize_unit(self) -> Result<u64, EncodeError> {
        Ok(hash_of(18_u8))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u64, EncodeError> {
        Ok(hash_of((19_u8, value.serialize(Self(self.0.step()?))?)))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<u64, EncodeError> {
        Ok(hash_of((20_u8, variant)))
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<u64, EncodeError>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(Self(self.0.step()?))
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, EncodeError>
    where
        T: Serialize + ?Sized,
    {
        Ok(hash_of((21_u8, variant, value.serialize(Self(self.0.level()?))?)))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?, 22, "")
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?, 23, "")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?, 23, "")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?.level()?, 24, variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?, 25, "")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?, 26, if name == RAW { RAW } else { "" })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, EncodeError> {
        Parts::new(self.0.level()?.level()?, 27, variant)
    }
}

/// The digest of a value with parts.
struct Parts {
    depth: DepthLeft,
    begin: (u8, &'static str),
    count: u64,
    sum: u64,
    key: u64,
}

#[allow(clippy::unnecessary_wraps)] // Serde requires results.
impl Parts {
    fn new(depth: DepthLeft, number: u8, name: &'static str) -> Result<Self, EncodeError> {
        Ok(Self { depth, begin: (number, name), count: 0, sum: 0, key: 0 })
    }

    /// Adds a part. `of` identifies it, such as the name of a field.
    fn add<T: Serialize + ?Sized>(&mut self, of: impl Hash, part: &T) -> Result<(), EncodeError> {
        if self.begin.1 != RAW {
            let part = hash_of((of, part.serialize(Digest(self.depth))?));
            self.sum = self.sum.wrapping_add(part);
            self.count += 1;
        }
        Ok(())
    }

    fn end(&self) -> Result<u64, EncodeError> {
        Ok(hash_of((self.begin, self.count, self.sum)))
    }
}

macro_rules! parts {
    ($($of:ident::$method:ident($($name:ident: $kind:ty)?) by $by:expr;)+) => {$(
        impl ser::$of for Parts {
            type Ok = u64;
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $kind,)? value: &T) -> Result<(), EncodeError> {
                let by: fn(&Self $(, $kind)?) -> _ = $by;
                self.add(by(self $(, $name)?), value)
            }

            fn end(self) -> Result<u64, EncodeError> {
                Parts::end(&self)
            }
        }
    )+};
}

parts! {
    SerializeSeq::serialize_element() by |_| 0_u64;
    SerializeTuple::serialize_element() by |parts| parts.count;
    SerializeTupleStruct::serialize_field() by |parts| parts.count;
    SerializeTupleVariant::serialize_field() by |parts| parts.count;
    SerializeStruct::serialize_field(name: &'static str) by |_, name| name;
    SerializeStructVariant::serialize_field(name: &'static str) by |_, name| name;
}

impl ser::SerializeMap for Parts {
    type Ok = u64;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key = key.serialize(Digest(self.depth))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.add(self.key, value)
    }

    fn end(self) -> Result<u64, EncodeError> {
        Parts::end(&self)
    }
}
