//! The stack machine that follows a pickle's instructions.

use std::collections::HashMap;

use super::allowed::{self, Callable};
use super::graph::{Graph, Id, Object, Objects};
use super::literal::literal;
use super::reader::{self, Rest};
use crate::weights::WeightsError;

/// Real files stay far below; without a limit one object could be pushed for every byte of a file.
const MOST_ON_STACK: u64 = 1_000_000;

/// The newest protocol of Python.
const NEWEST_PROTOCOL: u8 = 5;

/// Follows one pickle, from the front of `rest` to its STOP, and takes it off.
pub(super) fn run(rest: &mut Rest) -> Result<Graph, WeightsError> {
    let mut machine = Machine::default();
    loop {
        let instruction = reader::byte(rest)?;
        if instruction == b'.' {
            let root = machine.pop()?;
            return Ok(Graph { objects: machine.objects, root });
        }
        machine.step(instruction, rest)?;
    }
}

#[derive(Default)]
struct Machine {
    objects: Objects,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine {
    fn step(&mut self, instruction: u8, rest: &mut Rest) -> Result<(), WeightsError> {
        match instruction {
            0x80 => protocol(reader::byte(rest)?),
            // FRAME only tells how far to read ahead.
            0x95 => reader::array::<8>(rest).map(|_| ()),
            b'(' => {
                WeightsError::check_limit("the number of marks", MOST_ON_STACK, self.marks.len() as u64 + 1)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' | b'1' | b'2' => self.discard(instruction),
            b't' | 0x85..=0x87 | b'l' | b'd' => self.gather(instruction),
            b'a' | b'e' | 0x90 | b's' | b'u' => self.fill(instruction),
            b'q' | b'r' | b'h' | b'j' | 0x94 => self.remember(instruction, rest),
            b'c' | 0x93 | b'R' | 0x81 | b'Q' | b'b' => self.call(instruction, rest),
            _ => {
                let object = literal(instruction, rest)?;
                self.push(object)
            }
        }
    }

    /// POP, POP_MARK and DUP.
    fn discard(&mut self, instruction: u8) -> Result<(), WeightsError> {
        match instruction {
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_to_mark().map(|_| ()),
            _ => {
                let top = self.top()?;
                self.push_id(top)
            }
        }
    }

    /// TUPLE, TUPLE1 to TUPLE3, LIST and DICT: a container of what lies on the stack.
    fn gather(&mut self, instruction: u8) -> Result<(), WeightsError> {
        let object = match instruction {
            b't' => Object::Tuple(self.pop_to_mark()?),
            b'l' => Object::List(self.pop_to_mark()?),
            b'd' => Object::Dict(pairs(&self.pop_to_mark()?)?),
            _ => {
                let from = self.height_above(usize::from(instruction - 0x84))?;
                Object::Tuple(self.stack.split_off(from))
            }
        };
        self.push(object)
    }

    /// APPEND, APPENDS, ADDITEMS, SETITEM and SETITEMS: what lies on the stack into the container below it.
    fn fill(&mut self, instruction: u8) -> Result<(), WeightsError> {
        let new = match instruction {
            b'a' => vec![self.pop()?],
            b's' => {
                let from = self.height_above(2)?;
                self.stack.split_off(from)
            }
            _ => self.pop_to_mark()?,
        };
        let container = self.top()?;
        match (self.objects.get_mut(container), instruction) {
            (Object::List(elements), b'a' | b'e' | 0x90) => elements.extend(new),
            (Object::Dict(entries), b's' | b'u') => entries.extend(pairs(&new)?),
            _ => return Err(WeightsError::malformed("the pickle fills what is no list and no dictionary")),
        }
        Ok(())
    }

    /// BINPUT, LONG_BINPUT, MEMOIZE, BINGET and LONG_BINGET.
    fn remember(&mut self, instruction: u8, rest: &mut Rest) -> Result<(), WeightsError> {
        let index = match instruction {
            0x94 => self.memo.len() as u64,
            b'q' | b'h' => reader::number(rest, 1)?,
            _ => reader::number(rest, 4)?,
        };
        if let b'h' | b'j' = instruction {
            let known = self.memo.get(&index).copied();
            return self
                .push_id(known.ok_or_else(|| WeightsError::malformed("the pickle recalls what it did not memorise"))?);
        }
        WeightsError::check_limit("the number of memorised objects", MOST_ON_STACK, self.memo.len() as u64 + 1)?;
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    /// GLOBAL, STACK_GLOBAL, REDUCE, NEWOBJ, BINPERSID and BUILD.
    fn call(&mut self, instruction: u8, rest: &mut Rest) -> Result<(), WeightsError> {
        let object = match instruction {
            b'c' => Object::Callable(Callable::named(reader::line(rest)?, reader::line(rest)?)?),
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.objects.text(module), self.objects.text(name)) {
                    (Some(module), Some(name)) => Object::Callable(Callable::named(module, name)?),
                    _ => return Err(WeightsError::Forbidden("something whose name is no text".to_owned())),
                }
            }
            b'Q' => allowed::storage(self.pop()?, &self.objects)?,
            b'b' => return self.build(),
            _ => return self.reduce(),
        };
        self.push(object)
    }

    fn reduce(&mut self) -> Result<(), WeightsError> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Object::Callable(callable) = *self.objects.get(callable) else {
            return Err(WeightsError::Forbidden("something that is no function".to_owned()));
        };
        // Rebuilding a tensor takes seven arguments in the newest version, the most of all.
        let arguments = self.objects.tuple(arguments).filter(|arguments| arguments.len() <= 8).map(<[Id]>::to_vec);
        let arguments =
            arguments.ok_or_else(|| WeightsError::malformed("the arguments of a call are no short tuple"))?;
        let made = callable.call(&arguments, &mut self.objects)?;
        self.push_id(made)
    }

    /// Gives an object its state. Of a `ParameterDict` that is its content; of an `OrderedDict` it is attributes beside the
    /// entries, such as the versions in `_metadata`, which say nothing of the weights.
    fn build(&mut self) -> Result<(), WeightsError> {
        let state = self.pop()?;
        let object = self.top()?;
        let is_dict = matches!(self.objects.get(state), Object::Dict(_));
        match self.objects.get_mut(object) {
            Object::ParameterDict(own) if is_dict => *own = Some(state),
            Object::Dict(_) if is_dict => {}
            _ => return Err(WeightsError::Unsupported("an object with a state of its own".to_owned())),
        }
        Ok(())
    }

    fn push(&mut self, object: Object) -> Result<(), WeightsError> {
        let id = self.objects.add(object)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), WeightsError> {
        WeightsError::check_limit("the height of the stack", MOST_ON_STACK, self.stack.len() as u64 + 1)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, WeightsError> {
        let from = self.height_above(1)?;
        self.stack.drain(from..).next().ok_or_else(underflow)
    }

    fn top(&self) -> Result<Id, WeightsError> {
        let from = self.height_above(1)?;
        self.stack.get(from).copied().ok_or_else(underflow)
    }

    /// The height of the stack below its top `count` objects, none of which stands below the last open mark.
    fn height_above(&self, count: usize) -> Result<usize, WeightsError> {
        let floor = self.marks.last().copied().unwrap_or_default();
        self.stack.len().checked_sub(count).filter(|height| *height >= floor).ok_or_else(underflow)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, WeightsError> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }
}

fn protocol(number: u8) -> Result<(), WeightsError> {
    if number <= NEWEST_PROTOCOL {
        return Ok(());
    }
    Err(WeightsError::Unsupported(format!("pickle protocol {number}")))
}

fn pairs(ids: &[Id]) -> Result<Vec<(Id, Id)>, WeightsError> {
    let (pairs, rest) = ids.as_chunks();
    if rest.is_empty() {
        return Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect());
    }
    Err(WeightsError::malformed("a name in a dictionary of the pickle has no value"))
}

fn underflow() -> WeightsError {
    WeightsError::malformed("the pickle takes more off its stack than it has put there")
}
