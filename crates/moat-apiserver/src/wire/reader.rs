//! The bytes of protobuf: tags, numbers and lengths.

use super::Wrong;

/// What a field of the wire holds, before its type is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Four bytes or a group: no type of Kubernetes has them.
    Other(u8),
}

impl Wire<'_> {
    /// The number of the wire type, for messages.
    pub(super) fn number(&self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Other(number) => *number,
        }
    }
}

/// Reads fields one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

fn unexpected_end() -> Wrong {
    "unexpected EOF".to_owned()
}

impl<'a> Reader<'a> {
    /// The next field, or nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Wrong> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 || (1 << 29) <= number {
            return Err(format!("proto: illegal tag {} (wire type {tag})", tag >> 3));
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                Wire::Fixed64(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| unexpected_end())?;
                Wire::Bytes(self.take(length)?)
            }
            // A group ends with its own tag, and may hold others.
            3 => {
                self.skip_group()?;
                Wire::Other(3)
            }
            5 => {
                self.take(4)?;
                Wire::Other(5)
            }
            4 => return Err("proto: unexpected end of group".to_owned()),
            other => return Err(format!("proto: illegal wireType {other}")),
        };
        Ok(Some((number, wire)))
    }

    fn skip_group(&mut self) -> Result<(), Wrong> {
        let mut open = 1_usize;
        while 0 < open {
            let tag = self.varint()?;
            match tag & 7 {
                0 => {
                    self.varint()?;
                }
                1 => {
                    self.take(8)?;
                }
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| unexpected_end())?;
                    self.take(length)?;
                }
                3 => open += 1,
                4 => open -= 1,
                5 => {
                    self.take(4)?;
                }
                other => return Err(format!("proto: illegal wireType {other}")),
            }
        }
        Ok(())
    }

    pub(super) fn varint(&mut self) -> Result<u64, Wrong> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or_else(unexpected_end)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(unexpected_end)?;
        self.0 = rest;
        Ok(taken)
    }
}
