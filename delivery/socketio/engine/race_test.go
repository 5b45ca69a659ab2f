//go:build race

package engine_test

// raceDetector says that the test runs many times slower than it should.
const raceDetector = true
