package view_test

import (
	"fmt"
	"testing"

	"github.com/klp-audit/klp-audit/store/storetest"
)

// records are made by stories.
func TestAnswersAreThoseOfTheStore(t *testing.T) {
	machines := map[string]func(*testing.T) *storetest.Machine{"two years": storetest.TwoYears, "healthy": storetest.Healthy}
	for seed := range uint64(6) {
		machines[fmt.Sprint("random ", seed)] = func(t *testing.T) *storetest.Machine {
			return storetest.RandomMachine(t, storetest.NewRand(seed))
		}
	}
	for name, machine := range machines {
		t.Run(name, func(t *testing.T) {
			s := machine(t).OpenRecord()
			_, evs := eventsOf(t, s)
			sameAnswers(t, s, inMemory(t, s, nil), about(evs, 100))
		})
	}
}
