package store

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/klp-audit/klp-audit/record/proof"
)

// CheckpointMessageID marks the journal entries that carry a checkpoint.
const CheckpointMessageID = "0a5f4ee7f0c34e3c8b7f0c5a6e2d9b41"

// announceTimeout bounds the wait for a journal that does not take messages.
const announceTimeout = 300 * time.Millisecond

// announce sends a checkpoint to the journal, so that a copy of it is outside the database. It is a
// courtesy: no journal, no announcement.
func announce(c *proof.Checkpoint) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		journal.Send(fmt.Sprintf("klp-audit record: %d events, root %s", c.Size, c.Root), journal.PriInfo, map[string]string{
			"MESSAGE_ID":        CheckpointMessageID,
			"SYSLOG_IDENTIFIER": "klp-audit",
			"KLP_CHECKPOINT":    c.Note,
		})
	}()
	select {
	case <-done:
	case <-time.After(announceTimeout):
	}
}
