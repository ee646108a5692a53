package main

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Text on a terminal of which only the width is known.

// shown makes a name harmless for a terminal: what isn't printed as itself becomes a question mark.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// fit cuts a text that is too wide at its end.
func fit(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	return head(text, width-1) + "…"
}

// fitPath cuts one that is too wide in its middle: a path's end tells most.
func fitPath(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	front := max(width/4, 0)
	return head(text, front) + "…" + tail(text, width-1-front)
}

// head is as much of a text's beginning as is no wider than width.
func head(text string, width int) string {
	var out strings.Builder
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if width -= g.Width(); width < 0 {
			break
		}
		out.WriteString(g.Str())
	}
	return out.String()
}

// tail is as much of its end.
func tail(text string, width int) string {
	for g := uniseg.NewGraphemes(text); uniseg.StringWidth(text) > width && g.Next(); {
		text = text[len(g.Str()):]
	}
	return text
}

// ends puts one text to the left and one to the right; the right one gives way.
func ends(left, right string, width int) string {
	gap := width - uniseg.StringWidth(left) - uniseg.StringWidth(right)
	if gap < 2 {
		return left
	}
	return left + strings.Repeat(" ", gap) + right
}

// wrap breaks a text into lines, between words where it can.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case uniseg.StringWidth(line)+1+uniseg.StringWidth(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
