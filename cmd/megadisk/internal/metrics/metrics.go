// Package metrics tells Prometheus what the process that holds the mounts does. Nothing in it names a file or a person.
package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"

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

// Address gives the address that a person wrote, HOST:PORT or the path of a Unix socket, so that it means the same in
// every working directory.
func Address(text string) (string, error) {
	path, is := socket(text)
	if is && path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", fmt.Errorf("finding the working directory: %w", err)
		}
		return "unix:" + abs, nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || is {
		return "", fmt.Errorf("%q is no address: it looks like 127.0.0.1:9190 or unix:/path", text)
	}
	return text, nil
}

// socket is the path of a Unix socket that an address may be.
func socket(address string) (path string, is bool) {
	if path, is = strings.CutPrefix(address, "unix:"); is {
		return path, true
	}
	return address, strings.HasPrefix(address, "/")
}

// Serve answers at address, which is HOST:PORT or the path of a Unix socket, for this user alone, until stop is called. What
// is there already stays, unless it is the socket of a process that died.
func (m *Metrics) Serve(address string) (stop func(), err error) {
	network := "tcp"
	if path, is := socket(address); is {
		network, address = "unix", path
		if abandoned(path) {
			_ = os.Remove(path)
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

// abandoned tells whether what is at path is the socket of a process that died: the kernel refuses connections to it.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}
