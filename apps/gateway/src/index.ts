export type { AuditAction, AuditLog, AuditRow, AuditVerdict, RefusalSummary } from "./audit/audit-log.ts";
export type { BackupAccess } from "./backup/backup-access.ts";
export { parseAuditExport } from "./backup/later-audit.ts";
export type { RestoreChange, RestorePlan } from "./backup/plan.ts";
export { type PreparedRestore, prepareRestore } from "./backup/restore.ts";
export type { RestoreTarget } from "./backup/restore-anew.ts";
export { type BackupOpener, type BackupSeal, sealKind } from "./backup/seal.ts";
export { type ControlClient, connectControl, findRunning } from "./control/client.ts";
export type {
  AddParams,
  ControlMethod,
  ControlMethods,
  DeviceView,
  EnrolledDevice,
  GatewayStatus,
  OutboundView,
  RefusalView,
  RotateParams,
  SeenView,
  SessionView,
  TokenRole,
  TokenView,
} from "./control/methods.ts";
export { connectRemote, type RemoteOptions } from "./control/remote-client.ts";
export type { CheckName, Finding, System } from "./doctor/check.ts";
export { type DoctorRequest, examine } from "./doctor/doctor.ts";
export { describeKeyForms, hexDigits, type KeyForms, keyForms } from "./enrol/key-forms.ts";
export { nvsCommands, nvsCsv, nvsFileName } from "./enrol/nvs.ts";
export { enrolmentUri, qrForTerminal } from "./enrol/qr.ts";
export type { SnippetContext } from "./enrol/snippets/context.ts";
export { SNIPPET_LANGUAGES, type SnippetLanguage, snippet } from "./enrol/snippets.ts";
export { GatewayError, type GatewayErrorCode } from "./errors.ts";
export { type EventFeedOptions, eventFeed, type FeedItem } from "./events/event-feed.ts";
export { type GatewayEvent, GatewayEvents, type GatewayEventType } from "./events/gateway-events.ts";
export { deviceAddresses } from "./gateway/device-addresses.ts";
export type { Gateway, GatewayOptions, GatewaySession } from "./gateway/gateway.ts";
export { openGateway } from "./gateway/open-gateway.ts";
export { portOwner } from "./gateway/port-owner.ts";
export type { ExtraRoute } from "./http/extra-route.ts";
export type { HttpAddress } from "./http/http-server.ts";
export type { HttpSettings } from "./http/http-settings.ts";
export { DeviceKeys, deriveKey, type SealContext } from "./keys/device-keys.ts";
export type { KeyForm } from "./keys/forms.ts";
export { MasterSecret, type SubkeyLabel } from "./master/master-secret.ts";
export { nextMaster, parseMaster } from "./master/open-master.ts";
export { readSecretFile, writeSecretFile } from "./master/secret-file.ts";
export { type DiskExposure, describeSource, type MasterSource, type MasterSurroundings } from "./master/sources.ts";
export {
  DEFAULT_MESSAGE_SETTINGS,
  type InboundMessage,
  type MessageSettings,
  type OutboundRecord,
  type OutboundState,
} from "./messages/messages.ts";
export { type Device, type DeviceId, formatTime, type SeenDevice, type Tombstone } from "./records.ts";
export { type OpenedRegistry, openRegistry, type RegistryOptions } from "./registry/open-registry.ts";
export type { Enrolment, KeyCandidate, MasterRotation, Registry, RegistryChange } from "./registry/registry.ts";
export { type Sink, type SinkContext, SinkError, type SinkFactory, type SinkSettings } from "./sinks/sink.ts";
export { type ClockDoubt, createWallClock, type WallClock } from "./time/wall-clock.ts";
export type { CauseName, Explanation, RefusalCause } from "./why/cause.ts";
export { explain } from "./why/explain.ts";
export type { RefusalRecord } from "./why/refusal-record.ts";
