"""A SOAP 1.5 station made of zeep and nothing else: ``python zeep_station.py URL``. Prints the answers as JSON."""

import json
import sys

from zeep import Client

url = sys.argv[1]
client = Client(url + "/?wsdl")                         # the CSMS serves its WSDL itself
csms = client.create_service(next(iter(client.wsdl.bindings)), url + "/")
headers = {"ChargeBoxIdentity": "Z1"}
boot = csms.BootNotification(chargePointVendor="V", chargePointModel="M", _soapheaders=headers)
csms.Heartbeat(_soapheaders=headers)
print(json.dumps([boot["status"], boot["heartbeatInterval"]]))
