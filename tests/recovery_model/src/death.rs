//! How roles die: what is lost, and how the next life begins.

use crate::detokenizer::Detokenizer;
use crate::faults::Fault;
use crate::frames::{Ending, Output, REQUESTS};
use crate::link::Link;
use crate::promise::Property;
use crate::scheduler::Scheduler;
use crate::setup::{Role, Setup};
use crate::state::State;
use crate::tokenizer_manager::TokenizerManager;

impl State {
    /// A role is killed from outside. The first `kept` frames that it had sent on its links still arrive.
    pub(crate) fn die(
        &mut self,
        role: Role,
        kept: [usize; 2],
        overtaken: bool,
        setup: &Setup,
    ) -> Result<(), Property> {
        self.budget.deaths[role as usize] -= 1;
        match role {
            Role::TokenizerManager => return self.manager_dies(kept[0], overtaken, setup),
            Role::Scheduler => {
                if setup.faults.has(Fault::OutsideKillsAccuse) {
                    let black_box = self.black_box(setup);
                    self.launcher.accuse(black_box);
                }
                self.scheduler_dies(kept, overtaken);
            }
            Role::Detokenizer => {
                self.detokenizer = Detokenizer::new(self.detokenizer.life + 1, setup.faults);
                self.to_detokenizer.lose_receiver();
                self.texts.lose_sender(kept[0]);
                if let Some(hello) = self.detokenizer.hello() {
                    self.texts.send(self.detokenizer.life, hello);
                }
            }
        }
        Ok(())
    }

    fn manager_dies(&mut self, kept: usize, overtaken: bool, setup: &Setup) -> Result<(), Property> {
        for request in 0..REQUESTS as u8 {
            if self.clients[usize::from(request)].is_waiting() {
                self.end(request, Ending::Disconnected, setup)?;
            }
        }
        self.tokenizer_manager = TokenizerManager::new(self.tokenizer_manager.life + 1, self.launcher.kept);
        self.texts.lose_receiver();
        self.replies.lose_receiver();
        let hello = self.tokenizer_manager.hello();
        succeed(&mut self.to_scheduler, kept, overtaken, self.tokenizer_manager.life, hello);
        Ok(())
    }

    fn scheduler_dies(&mut self, kept: [usize; 2], overtaken: bool) {
        self.scheduler = Scheduler::new(self.scheduler.life + 1, self.launcher.accused);
        self.to_scheduler.lose_receiver();
        succeed(&mut self.to_detokenizer, kept[0], overtaken, self.scheduler.life, Output::Hello);
        self.replies.lose_sender(kept[1]);
    }

    /// The requests in the scheduler's next step, if all that may join do.
    fn black_box(&self, setup: &Setup) -> [Option<u8>; REQUESTS] {
        let mut positions = [None; REQUESTS];
        for (rid, running) in self.scheduler.running.iter().enumerate() {
            if let Some(running) = running.filter(|_| self.scheduler.may_run(rid, setup.faults)) {
                positions[usize::from(running.request)] = Some(running.next);
            }
        }
        positions
    }

    /// The scheduler dies in a step with the poison request.
    pub(crate) fn poison(&mut self, shared: bool, setup: &Setup) {
        let Some(poison) = setup.poison else { return };
        let mut black_box = self.black_box(setup);
        for running in self.scheduler.running.iter().flatten() {
            let guilty = running.request == poison.request;
            if !guilty && (!shared || self.scheduler.runs_alone(running, setup.faults)) {
                black_box[usize::from(running.request)] = None;
            }
        }
        self.launcher.accuse(black_box);
        self.poisoned += 1;
        let all = [self.to_detokenizer.frames.len(), self.replies.frames.len()];
        self.scheduler_dies(all, false);
    }
}

/// The sender's next life connects and says `hello`.
fn succeed<F: Copy>(link: &mut Link<F>, kept: usize, overtaken: bool, life: u8, hello: F) {
    let mut frames = std::mem::take(link).frames;
    frames.truncate(kept);
    link.send(life, hello);
    if overtaken {
        link.frames.append(&mut frames);
    } else {
        frames.append(&mut link.frames);
        link.frames = frames;
    }
}
