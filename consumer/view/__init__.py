"""`emotion-view`: what a running system sees and feels, live on a web page.

::

    with LiveView("redis://127.0.0.1:6379", port=8080) as view:
        print(view.url)
        ...

Core, without I/O: `board` (what the page shows), `album` (pictures that wait for their event),
`pace` (which frames are tapped), `windows` (rates and latencies). `hub` is what threads and pages
share; `feed`, `tap` and `health` read Redis, each in a thread; `app`, `guard` and `server` are the
web's side. The page itself is in `static/`, as it is sent: nothing is built.
"""
