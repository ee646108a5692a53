package megaclient

import "time"

// Limits of the connections that carry content, for each direction: where they begin, and what they are
// never beyond unless Config.MaxConnections says so.
const (
	defaultConnections = 8
	mostConnections    = 16
)

// climber looks for the number of connections beyond which more don't help. It is told the
// throughput of each window of time and knows no clock. It climbs in steps of several connections, and
// goes back, to try half of it, when one has brought nothing.
type climber struct {
	limit, ceiling int
	step           int     // the next raise
	raised         int     // by how much the limit was raised for this window
	before         float64 // throughput before that
	hold           int     // windows until the next attempt
}

const (
	climbStep    = 4               // the first raise
	climbGain    = 1.05            // a raise must bring so much
	climbHold    = 60              // windows without an attempt after a single connection more has brought nothing
	troubleHold  = 20              // and after trouble
	troublePause = 2 * time.Second // failures of parallel connections within it count as one
)

// newClimber begins with the usual number, or with the most that are allowed if these are fewer.
func newClimber(most int) climber {
	return climber{limit: min(most, defaultConnections), ceiling: most, step: climbStep}
}

// window takes the throughput of a window, in bytes a second, and whether somebody waited for a
// connection in it.
func (k *climber) window(rate float64, wanted bool) {
	if k.raised > 0 {
		if rate < k.before*climbGain {
			k.limit = max(1, k.limit-k.raised)
			if k.step = max(1, k.raised/2); k.raised == 1 {
				k.hold = climbHold
			}
		}
		k.raised = 0
	}
	if k.hold > 0 {
		k.hold--
		return
	}
	if wanted && k.limit < k.ceiling {
		k.before, k.raised = rate, min(k.step, k.ceiling-k.limit)
		k.limit += k.raised
	}
}

// trouble halves the limit: the server said that there is too much, or went silent.
func (k *climber) trouble() {
	k.limit, k.raised, k.step, k.hold = max(1, k.limit/2), 0, 1, troubleHold
}
