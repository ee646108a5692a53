// Package figures reads which of the figures in the documents the bench repeats. A row marks its own:
//
//	| 4 KiB random, shaped | 1.09 round trips | yes <!-- bench: random read of 4 KiB, shaped = 1.09 ±20% --> |
//
// Before the = stands the figure's name in the bench; " > " leads from a line to one of those that are indented below it.
package figures

import (
	"fmt"
	"regexp"
	"strconv"
)

// Mark is a figure that a document claims.
type Mark struct {
	Name      string
	Value     float64
	Tolerance float64 // how much worse it may be found, as a part of Value
}

// Measured is what the bench says of a figure.
type Measured struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	AtMost bool    `json:"at_most"` // less is better
}

var marks = regexp.MustCompile(`<!-- bench: (.*?) = ([0-9.]+) ±([0-9]+)% -->`)

// Marks finds those of a document.
func Marks(page string) (all []Mark, err error) {
	for _, m := range marks.FindAllStringSubmatch(page, -1) {
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m[0], err)
		}
		percent, err := strconv.Atoi(m[3])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m[0], err)
		}
		all = append(all, Mark{m[1], value, float64(percent) / 100})
	}
	return all, nil
}

// Holds tells whether what was measured isn't worse than what is claimed by more than its tolerance.
func (m Mark) Holds(got Measured) bool {
	if got.AtMost {
		return got.Value <= m.Value*(1+m.Tolerance)
	}
	return got.Value >= m.Value*(1-m.Tolerance)
}
