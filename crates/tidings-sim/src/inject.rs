//! Faults that act at once, on the stream as it is; the others wait for the place that they fit.

use std::time::Duration;

use tidings_api::Instant;

use crate::{
    fault::Fault,
    link::{Asked, Item},
    world::{Step, World},
};

impl World {
    pub(crate) fn bring_fault(&mut self, index: usize, fault: Fault, late: bool) {
        if index >= self.informers.len() {
            return;
        }
        let meets_next = fault.meets_request()
            || matches!(
                fault,
                Fault::CloseAtOnce { .. } | Fault::ExpireTokens | Fault::Overload { .. }
            );
        if meets_next && self.informers[index].is_waiting() {
            self.coverage.note_waiting(fault);
        }
        if fault.meets_request() || fault.meets_bytes() || (late && fault.meets_stream()) {
            let armed = &mut self.informers[index].armed;
            if armed.len() < ARMED_MAX {
                armed.push_back(fault);
            }
            return;
        }
        match fault {
            Fault::ExpireTokens => {
                for replica in &mut self.cluster.replicas {
                    replica.state.expire_tokens();
                }
                let asked = self.asked(index);
                self.note_fault(index, asked, fault);
            }
            Fault::CloseAtOnce { millis } => {
                self.informers[index].close_until = self.later(millis);
            }
            Fault::Overload { millis, .. } => {
                self.informers[index].overload = Some((self.later(millis), fault));
            }
            _ => self.bring_to_stream(index, fault),
        }
    }

    fn asked(&self, index: usize) -> Option<Asked> {
        let id = self.informers[index].stream?;
        self.connections.get(&id).map(|it| it.asked)
    }

    fn later(&self, millis: u32) -> Instant {
        self.now + Duration::from_millis(u64::from(millis))
    }

    pub(crate) fn bring_to_stream(&mut self, index: usize, fault: Fault) {
        let Some(id) = self.informers[index].stream else {
            return;
        };
        let now = self.now;
        let until = match fault {
            Fault::Stall { millis } => self.later(millis),
            _ => Instant::FAR_FUTURE,
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let asked = connection.asked;
        match fault {
            Fault::ErrorEvent { code } => {
                if connection.watch.is_none() {
                    return;
                }
                let status = tidings_apiserver::Refusal::of_code(code, 0).to_json();
                let mut frame = br#"{"type":"ERROR","object":"#.to_vec();
                frame.extend(status);
                frame.extend(b"}\n");
                self.send_bytes(id, frame);
                self.excuse_code(index, code);
                self.break_connection(id, false);
            }
            Fault::Eof | Fault::Reset => {
                if connection.is_over {
                    return;
                }
                self.break_connection(id, fault == Fault::Reset);
            }
            Fault::LoseTail => {
                connection.items.clear();
                connection.is_over = false;
                connection.watch = None;
                connection.frozen_until = Instant::ZERO;
                self.send(id, Item::Reset);
            }
            Fault::HalfOpen => {
                connection.items.clear();
                connection.watch = None;
                connection.frozen_until = Instant::FAR_FUTURE;
            }
            Fault::Stall { .. } => {
                if connection.frozen_until == Instant::FAR_FUTURE {
                    return;
                }
                connection.freeze(until.max(now));
                let arrivals = connection.items.len();
                for _ in 0..arrivals {
                    self.plan(until, Step::Deliver(id));
                }
            }
            Fault::Drip { millis } => connection.drip = Some(millis.max(1)),
            _ => return,
        }
        self.note_fault(index, Some(asked), fault);
    }
}

const ARMED_MAX: usize = 8;
