// A 1.6 side of a bridge: node bridge_1_6.js ocpp-ts|ts-ocpp station|csms PORT.
// The station boots, authorizes and charges, and prints what it was told and answered as one JSON object.
// The CSMS prints "ready", then each request as a JSON line; behind meter values it asks for the end, and prints the answer.
const [library, role, port] = process.argv.slice(2);
const time = '2026-11-22T16:00:00.000Z';
const accepted = { idTagInfo: { status: 'Accepted' } };
const values = [{ timestamp: time, sampledValue: [
  { value: '1200', measurand: 'Energy.Active.Import.Register', unit: 'Wh' },
  { value: '7.2', measurand: 'Power.Active.Import', unit: 'kW' }, { value: '60', measurand: 'SoC', unit: 'Percent' }] }];
const calls = (tid) => [
  ['BootNotification', { chargePointVendor: 'V', chargePointModel: 'M' }],
  ['Authorize', { idTag: '04A2B3C4' }],
  ['StartTransaction', { connectorId: 1, idTag: '04A2B3C4', meterStart: 1000, timestamp: time }],
  ['MeterValues', { connectorId: 1, transactionId: tid, meterValue: values }],
  ['StopTransaction', { transactionId: tid, meterStop: 1400, timestamp: time, reason: 'Local' }],
];
const ofCsms = {
  BootNotification: { status: 'Accepted', currentTime: time, interval: 300 }, Heartbeat: { currentTime: time },
  StatusNotification: {}, Authorize: accepted, StartTransaction: { transactionId: 4711, ...accepted }, MeterValues: {},
  StopTransaction: accepted,
};
const ofStation = { GetConfiguration: { configurationKey: [{ key: 'HeartbeatInterval', readonly: false, value: '300' }], unknownKey: [] } };
const fail = (error) => { console.error(error); process.exit(1); };
const told = [];

async function charge(call) {
  const answers = [];
  for (let number = 0, tid = 0; number < 5; number += 1) {
    const [action, payload] = calls(tid)[number];
    const answer = await call(action, payload);
    tid = answer.transactionId || tid;
    answers.push([action, answer]);
  }
  console.log(JSON.stringify({ told, answers }));
  process.exit(0);
}

function asked(action, payload, call) {
  console.log(JSON.stringify([action, payload]));
  if (action === 'MeterValues') {
    call('RemoteStopTransaction', { transactionId: payload.transactionId }).then(
      (answer) => console.log(JSON.stringify(['RemoteStopTransaction', answer])), fail);
  }
}

if (library === 'ocpp-ts') {
  const { OcppServer, OcppClient } = require('ocpp-ts');
  if (role === 'csms') {
    const server = new OcppServer();
    server.on('authorization', (identity, request, done) => done());
    server.on('connection', (charger) => {
      for (const [action, answer] of Object.entries(ofCsms)) {
        charger.on(action, (payload, done) => {
          done(answer);
          asked(action, payload, (name, body) => charger.callRequest(name, body));
        });
      }
    });
    server.listen(Number(port));
    console.log('ready');
  } else {
    const client = new OcppClient('CP1');
    client.on('GetConfiguration', (payload, done) => { told.push(['GetConfiguration', payload]); done(ofStation.GetConfiguration); });
    client.on('connect', () => charge((action, payload) => client.callRequest(action, payload)).catch(fail));
    client.on('error', fail);
    client.connect(`ws://127.0.0.1:${port}/ocpp/`);
  }
} else {
  const { CentralSystem, ChargePoint } = require('@voltbras/ts-ocpp');
  const content = ({ action, ocppVersion, ...payload }) => payload;
  const right = async (sent) => {
    const answer = await sent.run();
    if (answer.isLeft()) fail(answer.extract());
    return content(answer.extract());
  };
  if (role === 'csms') {
    const system = new CentralSystem(Number(port), (request, { chargePointId }) => {
      asked(request.action, content(request), (action, payload) => right(
        system.sendRequest({ ocppVersion: 'v1.6-json', chargePointId, action, payload })));
      return { action: request.action, ocppVersion: request.ocppVersion, ...ofCsms[request.action] };
    }, '127.0.0.1');
    console.log('ready');
  } else {
    const station = new ChargePoint('CP1', (request) => {
      told.push([request.action, content(request)]);
      return { action: request.action, ocppVersion: request.ocppVersion, ...ofStation[request.action] };
    }, `ws://127.0.0.1:${port}/ocpp`);
    station.connect().then(() => charge((action, payload) => right(
      station.sendRequest({ ocppVersion: 'v1.6-json', action, payload })))).catch(fail);
  }
}
