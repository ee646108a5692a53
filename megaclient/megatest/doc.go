// Package megatest is a MEGA server in a Go package, as net/http/httptest is an HTTP server.
package megatest
