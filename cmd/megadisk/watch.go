package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"megadisk/cmd/megadisk/internal/control"
)

// The live status. On a terminal it is a screen that is drawn again each second; elsewhere a line when something has
// changed, or an array of JSON a line.

const watchEvery = time.Second

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clear      = "\x1b[2J"
	home       = "\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// watch shows what ask gives until ctx ends.
func watch(ctx context.Context, out *os.File, asJSON bool, ask func() ([]control.Status, error)) error {
	screen := !asJSON && term.IsTerminal(int(out.Fd()))
	if screen {
		fmt.Fprint(out, hideCursor+clear)
		defer fmt.Fprint(out, showCursor)
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for last := ""; ; {
		all, err := ask()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case asJSON:
			err = json.NewEncoder(out).Encode(all)
		case screen:
			width, height, sizeErr := term.GetSize(int(out.Fd()))
			if sizeErr != nil || width <= 0 {
				width, height = 80, 24
			}
			err = draw(out, screenOf(all, width, max(height, 4)))
		default:
			if now := summaries(all); now != last {
				last = now
				_, err = fmt.Fprintln(out, now)
			}
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func draw(w io.Writer, lines []string) error {
	_, err := io.WriteString(w, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return err
}

func summaries(all []control.Status) string {
	var list []string
	for _, st := range all {
		list = append(list, shown(st.Account)+": "+summary(st))
	}
	if len(list) == 0 {
		return "nothing is mounted"
	}
	return strings.Join(list, "; ")
}

// screenOf is what a terminal of that size shows: no line is wider, and there are no more of them.
func screenOf(all []control.Status, width, height int) []string {
	var lines []string
	for i, st := range all {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, processLines(st, width)...)
	}
	if len(all) == 0 {
		lines = []string{"Nothing is mounted."}
	}
	safe := wrap(powerOff(all), width)
	room := height - len(safe) - 1
	if len(lines) > room {
		cut := max(room-1, 0)
		lines = append(lines[:cut:cut], fmt.Sprintf("… %d more lines", len(lines)-cut))
	}
	lines = append(append(lines, ""), safe...)
	for i := range lines {
		lines[i] = fit(lines[i], width)
	}
	return lines[:min(len(lines), height)]
}

func processLines(st control.Status, width int) []string {
	lines := []string{ends(shown(st.Account), used(st.Quota), width)}
	for _, m := range st.Mounts {
		lines = append(lines, "  "+fitPath(mountLine(m), width-2))
	}
	switch {
	case st.Problem != "":
		lines = append(lines, wrap("! "+shown(st.Problem), width)...)
	case st.Offline != nil:
		lines = append(lines, "offline since "+st.Offline.Local().Format(time.DateTime))
	default:
		lines = append(lines, "online")
	}
	for _, n := range st.Notices {
		lines = append(lines, wrap("! "+shown(n), width)...)
	}
	if st.NoTransfer != nil {
		lines = append(lines, wrap("! no transfer quota until "+st.NoTransfer.Local().Format(time.TimeOnly), width)...)
	}
	if n := st.HereOnly.Files; n > 0 {
		lines = append(lines, fmt.Sprintf("%d files stay here because of their names", n))
	}
	if st.Pending.Changes == 0 {
		return append(lines, "everything is in the cloud")
	}
	lines = append(lines, "")
	lines = append(lines, wrap(leftText(st), width)...)
	for _, t := range st.Transfer {
		lines = append(lines, transferLines(t, width)...)
	}
	for _, ch := range st.Pending.Items {
		if ch.Reason != "" {
			lines = append(lines, fitPath("held: "+shown(ch.Path), width), "  "+shown(ch.Reason))
		}
	}
	return lines
}

func used(q control.Quota) string {
	if q.Total <= 0 {
		return ""
	}
	return humanize.IBytes(uint64(q.Used)) + " of " + humanize.IBytes(uint64(q.Total))
}

func mountLine(m control.Mount) string {
	source := m.Source
	if source == "" {
		source = "/"
	}
	text := shown(source) + " at " + shown(m.Mountpoint)
	if m.ReadOnly {
		text += " (read-only)"
	}
	return text
}

// leftText tells how much is left, how fast it goes, and how long it takes at that speed.
func leftText(st control.Status) string {
	left, rate := st.Pending.Bytes, int64(0)
	for _, t := range st.Transfer {
		left -= t.Done
		rate += t.Rate
	}
	left = max(left, 0)
	text := fmt.Sprintf("%d changes left, %s", st.Pending.Changes, humanize.IBytes(uint64(left)))
	if rate > 0 {
		text += fmt.Sprintf(", %s/s, %s", humanize.IBytes(uint64(rate)), about(time.Duration(left/rate)*time.Second))
	}
	return text
}

// about words how long something takes.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// barWidth is that of the widest bar.
const barWidth = 30

// transferLines are a file's name, and below it how far it is.
func transferLines(t control.Transfer, width int) []string {
	percent := int64(100)
	if t.Size > 0 {
		percent = min(t.Done*100/t.Size, 100)
	}
	tail := fmt.Sprintf(" %3d%% of %s", percent, humanize.IBytes(uint64(t.Size)))
	if t.Rate > 0 {
		tail += fmt.Sprintf(", %s/s", humanize.IBytes(uint64(t.Rate)))
	}
	bar := min(barWidth, width-len(tail)-4)
	line := "  " + strings.TrimSpace(tail)
	if bar >= 5 {
		done := int(percent) * bar / 100
		line = "  [" + strings.Repeat("#", done) + strings.Repeat("-", bar-done) + "]" + tail
	}
	return []string{"  " + fitPath(shown(t.Path), width-2), line}
}

// powerOff tells whether the machine can be switched off.
func powerOff(all []control.Status) string {
	left := 0
	for _, st := range all {
		left += st.Pending.Changes
	}
	if left == 0 {
		return "Safe to power off."
	}
	return "Wait before you power off: not all is in the cloud. (A shutdown loses nothing; the rest goes up with the next mount.)"
}
