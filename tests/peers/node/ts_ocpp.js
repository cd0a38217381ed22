// npm @voltbras/ts-ocpp: node ts_ocpp.js LISTEN DIAL: both roles, OCPP 1.6J; prints what each side saw.
// node ts_ocpp.js LISTEN: only the CSMS, 1.6J and SOAP 1.5 on one port; prints "ready", then a line per request.
const { CentralSystem, ChargePoint } = require('@voltbras/ts-ocpp');
const [listen, dial] = process.argv.slice(2).map(Number);
const seen = { csms: [], station: [] };
const time = '2026-11-22T16:00:00.000Z';

const bodies = {
  'v1.6-json': { BootNotification: { status: 'Accepted', currentTime: time, interval: 60 }, Heartbeat: { currentTime: time } },
  'v1.5-soap': { BootNotification: { status: 'Accepted', currentTime: new Date(time), heartbeatInterval: 60 }, Heartbeat: { currentTime: new Date(time) } },
};

new CentralSystem(listen, (request) => {
  const body = (bodies[request.ocppVersion] || {})[request.action];
  seen.csms.push([request.ocppVersion, request.action]);
  if (!dial) console.log(JSON.stringify([request.ocppVersion, request.action]));
  if (!body) throw new Error('not supported');
  return [{ action: request.action, ocppVersion: request.ocppVersion, ...body }, async () => {}][0];
}, {});

(async () => {
  if (!dial) { console.log('ready'); return; }
  const none = async (request) => ({ action: request.action, ocppVersion: request.ocppVersion });
  const station = new ChargePoint('VB1', none, `ws://127.0.0.1:${dial}`, '1.6', Number(process.argv[4]));
  await station.connect();
  for (const [action, payload] of [['BootNotification', { chargePointVendor: 'V', chargePointModel: 'M' }], ['Heartbeat', {}]]) {
    const answer = await station.sendRequest({ action, ocppVersion: 'v1.6-json', payload });
    seen.station.push([action, answer]);
  }
  console.log(JSON.stringify(seen));
  process.exit(0);
})();
