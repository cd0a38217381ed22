// Both roles of npm ocpp-ts, OCPP 1.6: node ocpp_ts.js LISTEN DIAL. Prints what each side saw as one JSON object.
const { OcppServer, OcppClient } = require('ocpp-ts');
const [listen, dial] = process.argv.slice(2).map(Number);
const now = () => '2026-11-22T16:00:00Z';
const seen = { csms: [], station: [] };
let left = 2;                            // both roles have to be through
const through = () => {
  left -= 1;
  if (left) return;
  console.log(JSON.stringify(seen));
  process.exit(0);                       // this peer cannot close: its socket just dies
};

const server = new OcppServer();
server.on('authorization', (identity, request, done) => done());
server.on('connection', (charger) => {
  charger.on('BootNotification', (request, answer) => {
    seen.csms.push(['BootNotification', request]);
    answer({ status: 'Accepted', currentTime: now(), interval: 60 });
  });
  charger.on('StatusNotification', (request, answer) => {
    seen.csms.push(['StatusNotification', request]);
    answer({});
    charger.callRequest('GetConfiguration', { key: ['HeartbeatInterval'] }).then((result) => {
      seen.csms.push(['GetConfiguration', result]);
      through();
    });
  });
});
server.listen(listen);

const client = new OcppClient('TS1');
client.on('GetConfiguration', (request, answer) => {
  seen.station.push(['GetConfiguration', request]);
  answer({ configurationKey: [{ key: 'HeartbeatInterval', readonly: false, value: '60' }], unknownKey: [] });
});
client.on('connect', async () => {
  seen.station.push(['BootNotification', await client.callRequest('BootNotification', { chargePointVendor: 'V', chargePointModel: 'M' })]);
  try {
    await client.callRequest('MeterValues', { connectorId: 1, meterValue: [] });
  } catch (error) {
    seen.station.push(['MeterValues', String(error.message || error)]);
  }
  seen.station.push(['StatusNotification', await client.callRequest('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Available' })]);
  through();
});
client.on('error', (error) => { console.error(error); process.exit(1); });
client.connect(`ws://127.0.0.1:${dial}/`);
