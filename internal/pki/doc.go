/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package pki is the certificate authority of edgesync: it makes or loads the CA,
// signs the certificates of nodes and of the hub, and checks them. Manager and
// edge-agent share it, so it knows neither Kubernetes nor files; package castore
// keeps the CA in a Secret. Functions take the time as an argument.
//
// What every certificate says is decided here. Of a request only the public key is
// used: a requester cannot choose a name, a usage, a lifetime or a serial.
package pki
