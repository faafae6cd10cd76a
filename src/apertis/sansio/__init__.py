"""The core: everything that is decided, and nothing that waits.

No sockets, no clock, no randomness, no environment: time and chance come in as arguments. The
modules in the order of their imports:

`request`     the origin, the headers and the credentials -> the bytes of a request
`http1`       bytes -> one response after the other, over `httptools`
`timeouts`    the four deadlines, and what a number stands for
`outcome`     a response or a failure -> a value or an error
`call`        one API call as data: what to send, how to read the response
`retry`       may this be retried, and after how long
`sse`         bytes -> server-sent events, cut anywhere
`transcript`  events -> the message so far
`reading`     a stream's bytes -> its events, until it ends or fails
"""
