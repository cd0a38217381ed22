"""Owns the actions of every version and who sends them: pure data, a new action or version is a line here.

Per version: sender of the request -> action names; "send" names the actions that are a SEND (never answered).
Sources: 1.2 and 1.5 from the WSDL operations, 1.6 part "Messages" and the security whitepaper edition 3, 2.0 from its
published schemas and public implementations, 2.0.1 edition 3 part 2, 2.1 edition 1 part 2.
"""

from collections.abc import Mapping

_STATION_1_2 = """Authorize BootNotification DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat MeterValues
StartTransaction StatusNotification StopTransaction"""

_CSMS_1_2 = """ChangeAvailability ChangeConfiguration ClearCache GetDiagnostics RemoteStartTransaction
RemoteStopTransaction Reset UnlockConnector UpdateFirmware"""

_CSMS_1_5 = f"{_CSMS_1_2} CancelReservation GetConfiguration GetLocalListVersion ReserveNow SendLocalList"

_CSMS_1_6 = f"{_CSMS_1_5} ClearChargingProfile GetCompositeSchedule SetChargingProfile TriggerMessage"

_STATION_SECURITY = "LogStatusNotification SecurityEventNotification SignCertificate SignedFirmwareStatusNotification"

_CSMS_SECURITY = """CertificateSigned DeleteCertificate ExtendedTriggerMessage GetInstalledCertificateIds GetLog
InstallCertificate SignedUpdateFirmware"""

_STATION_2_0_1 = """Authorize BootNotification ClearedChargingLimit FirmwareStatusNotification Get15118EVCertificate
GetCertificateStatus Heartbeat LogStatusNotification MeterValues NotifyChargingLimit NotifyCustomerInformation
NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent NotifyMonitoringReport NotifyReport
PublishFirmwareStatusNotification ReportChargingProfiles ReservationStatusUpdate SecurityEventNotification
SignCertificate StatusNotification TransactionEvent"""

_CSMS_2_0_1 = """CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile
ClearDisplayMessage ClearVariableMonitoring CostUpdated CustomerInformation DeleteCertificate GetBaseReport
GetChargingProfiles GetCompositeSchedule GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion GetLog
GetMonitoringReport GetReport GetTransactionStatus GetVariables InstallCertificate PublishFirmware
RequestStartTransaction RequestStopTransaction ReserveNow Reset SendLocalList SetChargingProfile SetDisplayMessage
SetMonitoringBase SetMonitoringLevel SetNetworkProfile SetVariableMonitoring SetVariables TriggerMessage
UnlockConnector UnpublishFirmware UpdateFirmware"""

_STATION_2_1 = """BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm NotifyDERStartStop
NotifyPeriodicEventStream NotifyPriorityCharging NotifySettlement OpenPeriodicEventStream PullDynamicScheduleUpdate
ReportDERControl VatNumberValidation"""

_CSMS_2_1 = """AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs GetDERControl
GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer NotifyWebPaymentStarted RequestBatterySwap
SetDERControl SetDefaultTariff UpdateDynamicSchedule UsePriorityCharging"""

ACTIONS: Mapping[str, Mapping[str, str]] = {
    "1.2": {"station": _STATION_1_2, "csms": _CSMS_1_2},
    "1.5": {"station": _STATION_1_2, "csms": _CSMS_1_5, "both": "DataTransfer"},
    "1.6": {
        "station": f"{_STATION_1_2} {_STATION_SECURITY}",
        "csms": f"{_CSMS_1_6} {_CSMS_SECURITY}",
        "both": "DataTransfer",
    },
    "2.0": {
        "station": f"{_STATION_2_0_1} Update15118EVCertificate",
        "csms": f"{_CSMS_2_0_1} NotifyCentralChargingNeeds Renegotiate15118Schedule",
        "both": "DataTransfer",
    },
    "2.0.1": {"station": _STATION_2_0_1, "csms": _CSMS_2_0_1, "both": "DataTransfer"},
    "2.1": {
        "station": f"{_STATION_2_0_1} {_STATION_2_1}",
        "csms": f"{_CSMS_2_0_1} {_CSMS_2_1}",
        "both": "DataTransfer",
        "send": "NotifyPeriodicEventStream",
    },
}
