package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"megadisk/cmd/megadisk/internal/control"
)

// gauge is a figure that a status holds.
type gauge struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(control.Status) float64
}

func figure(name, help string, kind prometheus.ValueType, value func(control.Status) float64) gauge {
	return gauge{prometheus.NewDesc("megadisk_"+name, help, nil, nil), kind, value}
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var figures = []gauge{
	figure("online", "1 while the server answers and the session is alive.", prometheus.GaugeValue, func(s control.Status) float64 { return yes(s.Online) }),
	figure("stream_lag_seconds", "Since when there is, or may be, news from the cloud that isn't shown yet.", prometheus.GaugeValue, func(s control.Status) float64 {
		if s.Behind == nil {
			return 0
		}
		return time.Since(*s.Behind).Seconds()
	}),
	figure("problem", "1 while a person must do something.", prometheus.GaugeValue, func(s control.Status) float64 { return yes(s.Problem != "") }),
	figure("mounts", "Folders that are shown.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(len(s.Mounts)) }),
	figure("pending_changes", "Files and folders that differ from the cloud.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(s.Pending.Changes) }),
	figure("pending_bytes", "Content to send.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(s.Pending.Bytes) }),
	figure("pending_oldest_seconds", "Age of the oldest change that is not in the cloud.", prometheus.GaugeValue, func(s control.Status) float64 {
		if s.Pending.Oldest.IsZero() {
			return 0
		}
		return time.Since(s.Pending.Oldest).Seconds()
	}),
	figure("uploads", "Files on their way up.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(len(s.Transfer)) }),
	figure("quota_bytes", "The account's storage.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(s.Quota.Total) }),
	figure("quota_used_bytes", "How much of it is used.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(s.Quota.Used) }),
	figure("cache_bytes", "Content kept on disk.", prometheus.GaugeValue, func(s control.Status) float64 { return float64(s.Cache.Bytes) }),
	figure("cache_hits_total", "Reads answered from the cache.", prometheus.CounterValue, func(s control.Status) float64 { return float64(s.Cache.Hits) }),
	figure("cache_misses_total", "Reads that had to wait for the network.", prometheus.CounterValue, func(s control.Status) float64 { return float64(s.Cache.Misses) }),
	figure("downloaded_bytes_total", "Content from the network.", prometheus.CounterValue, func(s control.Status) float64 { return float64(s.Cache.Fetched) }),
	figure("downloaded_unread_bytes_total", "Of these, fetched ahead of need and not read.", prometheus.CounterValue, func(s control.Status) float64 { return float64(s.Cache.Unasked) }),
}

// gauges is a collector of all figures.
type gauges struct{ ask func() control.Status }

// Describe names the figures.
func (g gauges) Describe(to chan<- *prometheus.Desc) {
	for _, f := range figures {
		to <- f.desc
	}
}

// Collect asks for the status once and tells all figures.
func (g gauges) Collect(to chan<- prometheus.Metric) {
	st := g.ask()
	for _, f := range figures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(st))
	}
}
