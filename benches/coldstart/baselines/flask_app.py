"""The function on Flask, as in the platform's own Python demo."""
import logging

from flask import Flask, jsonify, request

logging.getLogger("werkzeug").disabled = True
app = Flask(__name__)


@app.route("/event-invoke", methods=["POST"])
def invoke():
    return jsonify(request.get_json())


app.run(host="0.0.0.0", port=9000)
