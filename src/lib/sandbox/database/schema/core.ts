import {tables} from './notation.ts'

const own = 'id; tenantId -> tenants CASCADE'
const times = 'createdAt ts = CURRENT_TIMESTAMP; updatedAt ts'

/** The application's own tables, column by column. */
export const core = tables({
  tenants: {
    columns: `id; name; subdomain?; plan = 'free'; settings? json; ${times}`,
    indexes: 'unique subdomain; plan; createdAt',
    isolated: false,
  },
  users: {
    columns: `${own}; username?; email?; phone?; passwordHash?; name?; roles text[]; authProvider = 'email'; providerId?; telegramId?; googleId?; isActive bool = true; lastLoginAt? ts; ${times}`,
    indexes: `unique username; unique telegramId; unique googleId; unique tenantId email; unique tenantId phone; tenantId; tenantId isActive; tenantId createdAt;
      tenantId name; email; phone; authProvider providerId; isActive; lastLoginAt; createdAt; updatedAt; roles :gin`,
    perTenant: 8,
  },
  user_auth_links: {
    columns: 'id; userId -> users CASCADE; provider; providerId; verified bool = false; createdAt ts = CURRENT_TIMESTAMP',
    indexes: 'unique provider providerId; userId; provider',
    isolated: false, perTenant: 8,
  },
  integrations: {
    columns: `${own}; type; status = 'pending'; config? json; tokensEncrypted?; refreshToken?; expiresAt? ts; lastSyncAt? ts; errorMessage?; ${times}`,
    indexes: 'unique tenantId type; tenantId; tenantId status; type status; expiresAt; lastSyncAt',
    perTenant: 4,
  },
  contacts: {
    columns: `${own}; name?; phone?; email?; externalIds? json; metadata? json; ${times}`,
    indexes: 'tenantId; tenantId phone; tenantId email; tenantId createdAt',
  },
  leads: {
    columns: `${own}; amocrmId?; title; contactId? -> contacts SET NULL; status?; pipelineId?; responsibleUserId?; metadata? json; source?; externalCreatedAt? ts; externalUpdatedAt? ts; ${times}`,
    indexes: 'unique tenantId amocrmId; tenantId status; tenantId createdAt; contactId; tenantId pipelineId status; tenantId responsibleUserId; tenantId source',
  },
  calls: {
    columns: `${own}; callIdExternal; from; to; direction; duration? int; status; recordingUrl?; recordingId?; metadata? json; leadId? -> leads SET NULL; contactId? -> contacts SET NULL; startedAt ts; endedAt? ts; createdAt ts = CURRENT_TIMESTAMP; provider`,
    indexes: `tenantId; tenantId callIdExternal; tenantId startedAt; tenantId status; tenantId direction startedAt; tenantId provider; leadId; contactId;
      from; to; startedAt; tenantId createdAt`,
  },
  notifications: {
    columns: `${own}; userId? -> users CASCADE; type; title; body?; data? json; readAt? ts; createdAt ts = CURRENT_TIMESTAMP`,
    indexes: 'tenantId; tenantId userId; userId readAt; tenantId createdAt; type',
    perTenant: 40,
  },
  webhook_events: {
    columns: 'id; tenantId? -> tenants SET NULL; provider; eventType; rawPayload json; idempotencyKey; processed bool = false; processedAt? ts; errorMessage?; createdAt ts = CURRENT_TIMESTAMP',
    indexes: 'idempotencyKey; tenantId createdAt; processed createdAt; provider eventType',
  },
  audit_logs: {
    columns: `${own}; userId? -> users SET NULL; action; resource?; resourceId?; ip?; userAgent?; metadata? json; createdAt ts = CURRENT_TIMESTAMP`,
    indexes: 'tenantId createdAt; tenantId action; userId; tenantId resource resourceId; createdAt',
  },
  customers: {
    columns: `${own}; fullName; phone?; email?; source?; status = 'active'; balance money = 0; metadata? json; ${times}`,
    indexes: 'tenantId; tenantId phone; tenantId email; tenantId fullName; tenantId status; tenantId createdAt; source',
    perTenant: 60,
  },
  courses: {
    columns: `${own}; name; description?; isActive bool = true; ${times}`,
    indexes: 'tenantId; tenantId name; tenantId isActive',
    perTenant: 4,
  },
  tariffs: {
    columns: `${own}; courseId -> courses CASCADE; name; price money; durationDays int; isActive bool = true; ${times}`,
    indexes: 'tenantId; tenantId courseId; courseId; tenantId isActive; tenantId price',
    perTenant: 8,
  },
  incomes: {
    columns: `${own}; customerId -> customers CASCADE; courseId? -> courses SET NULL; tariffId? -> tariffs SET NULL; managerUserId -> users RESTRICT; relatedDebtIncomeId? -> incomes SET NULL; amount money; currency = 'UZS'; paymentMethod; status; isDebt bool = false; comment?; paidAt? ts; ${times}`,
    indexes: `tenantId; tenantId paidAt; tenantId createdAt; tenantId status; tenantId customerId; tenantId managerUserId; tenantId paymentMethod; tenantId isDebt;
      tenantId amount; tenantId courseId; tenantId tariffId; tenantId currency paidAt; customerId; courseId; tariffId; managerUserId; relatedDebtIncomeId; status paidAt`,
    perTenant: 80,
  },
})
