// Package megacrypto is the cryptography of MEGA's cloud storage as pure functions.
package megacrypto
