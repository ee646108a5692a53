// Package metrics tells Prometheus what the process that holds the mounts does. Nothing in it names a file or a person.
package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"megadisk/cmd/megadisk/internal/control"
	"megadisk/megaclient"
)

// Metrics counts.
type Metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	commands   *prometheus.CounterVec
}

// liveHeap is what the last collection found in use: unlike the heap's size it shows a leak and nothing else.
var liveHeap = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}

// New makes one that has counted nothing.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "megadisk_operation_seconds", Help: "How long requests of the kernel took, by kind.",
			Buckets: prometheus.ExponentialBuckets(10e-6, 4, 11), // 10 µs to 10 s
		}, []string{"kind"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "megadisk_operation_errors_total", Help: "Requests of the kernel that were answered with an error, by kind and errno.",
		}, []string{"kind", "errno"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "megadisk_api_commands_total", Help: "Commands to MEGA's API, by name and result (ok, MEGA's number, or network).",
		}, []string{"command", "result"}),
	}
	m.registry.MustRegister(m.operations, m.failures, m.commands,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(liveHeap)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Operation counts a request of the kernel; errno is "" when it went well.
func (m *Metrics) Operation(kind string, took time.Duration, errno string) {
	m.operations.WithLabelValues(kind).Observe(took.Seconds())
	if errno != "" {
		m.failures.WithLabelValues(kind, errno).Inc()
	}
}

// Command counts a command to the API.
func (m *Metrics) Command(name string, err error) {
	m.commands.WithLabelValues(name, result(err)).Inc()
}

func result(err error) string {
	var code *megaclient.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &code):
		return strconv.Itoa(int(code.Code))
	}
	return "network"
}

// Watch adds what a status tells, asked for at each scrape.
func (m *Metrics) Watch(ask func() control.Status) {
	m.registry.MustRegister(gauges{ask})
}

// Serve answers at address, which is HOST:PORT or the path of a Unix socket, for this user alone, until stop is called.
func (m *Metrics) Serve(address string) (stop func(), err error) {
	network := "tcp"
	if path, is := strings.CutPrefix(address, "unix:"); is || strings.HasPrefix(address, "/") {
		network, address = "unix", path
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			_ = os.Remove(path) // of a process that died
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("serving metrics: %w", err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o600); err != nil {
			l.Close()
			return nil, fmt.Errorf("protecting the metrics' socket: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	return func() { server.Close(); <-done }, nil
}
