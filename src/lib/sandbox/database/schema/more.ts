import {tables} from './notation.ts'

const own = 'id; tenantId -> tenants CASCADE'
const created = 'createdAt ts = CURRENT_TIMESTAMP'
const times = `${created}; updatedAt ts`

/** Further tables of a CRM, to the usual thirty. Three tenant tables have no row-level security, as in the application. */
export const more = tables({
  pipelines: {columns: `${own}; name; position int = 0; isDefault bool = false; ${times}`, indexes: 'tenantId; tenantId name; tenantId position', perTenant: 2},
  pipeline_stages: {
    columns: `${own}; pipelineId -> pipelines CASCADE; name; color?; position int = 0; ${times}`,
    indexes: 'tenantId; pipelineId position; tenantId pipelineId; tenantId name', perTenant: 8,
  },
  tags: {columns: `${own}; name; color?; ${created}`, indexes: 'tenantId; tenantId name; tenantId color', perTenant: 8},
  lead_tags: {
    columns: `leadId -> leads CASCADE; tagId -> tags CASCADE; tenantId -> tenants CASCADE; ${created}`,
    key: 'leadId tagId', indexes: 'tagId; tenantId tagId; tenantId createdAt', perTenant: 30,
  },
  tasks: {
    columns: `${own}; leadId? -> leads CASCADE; assigneeUserId? -> users SET NULL; title; description?; priority "TaskPriority" = 'normal'; dueAt? ts; completedAt? ts; ${times}`,
    indexes: 'tenantId; tenantId assigneeUserId dueAt; leadId; tenantId priority; tenantId completedAt; dueAt; tenantId createdAt', perTenant: 40,
  },
  comments: {
    columns: `${own}; leadId? -> leads CASCADE; authorUserId? -> users SET NULL; parentCommentId? -> comments CASCADE; content; ${times}`,
    indexes: 'tenantId; leadId createdAt; authorUserId; parentCommentId; tenantId createdAt', perTenant: 40,
  },
  attachments: {
    columns: `${own}; commentId? -> comments CASCADE; uploadedByUserId? -> users SET NULL; fileName; contentType; byteSize int; storageKey; ${created}`,
    indexes: 'unique storageKey; tenantId; commentId; uploadedByUserId; tenantId contentType', perTenant: 15,
  },
  invoices: {
    columns: `${own}; customerId -> customers CASCADE; number; currency = 'UZS'; amount money; discount money = 0; total money := "amount" - "discount"; status; dueAt? ts; ${times}`,
    indexes: 'unique tenantId number; tenantId; tenantId status; customerId; tenantId dueAt; tenantId createdAt; tenantId total', perTenant: 40,
  },
  payments: {
    columns: `${own}; invoiceId -> invoices CASCADE; incomeId? -> incomes SET NULL; amount money; method; transactionId?; paidAt ts; ${created}`,
    indexes: 'unique transactionId; tenantId; invoiceId; incomeId; tenantId paidAt; tenantId method', perTenant: 40,
  },
  telegram_chats: {
    columns: `${own}; chatId bigint; title?; type; contactId? -> contacts SET NULL; isActive bool = true; ${times}`,
    indexes: 'unique tenantId chatId; tenantId; contactId; tenantId isActive; type', perTenant: 15,
  },
  telegram_messages: {
    columns: `${own}; telegramChatId -> telegram_chats CASCADE; messageId bigint; direction; content?; payload? json; sentAt ts; ${created}`,
    indexes: 'unique telegramChatId messageId; tenantId; telegramChatId sentAt; tenantId sentAt; payload :gin', perTenant: 60,
  },
  webhooks: {
    columns: `${own}; url; secretHash; events text[]; isActive bool = true; ${times}`,
    indexes: 'tenantId; tenantId isActive; events :gin', isolated: false, perTenant: 3,
  },
  api_keys: {
    columns: `${own}; name; prefix; keyHash; scopes text[]; lastUsedAt? ts; revokedAt? ts; ${created}`,
    indexes: 'unique keyHash; tenantId; prefix; tenantId revokedAt', isolated: false, perTenant: 3,
  },
  sessions: {
    columns: `${own}; userId -> users CASCADE; tokenHash; ip?; userAgent?; expiresAt ts; ${created}`,
    indexes: 'unique tokenHash; tenantId; userId; expiresAt; tenantId userId', isolated: false, perTenant: 12,
  },
  reports: {
    columns: `${own}; createdByUserId? -> users SET NULL; name; kind; parameters? json; generatedAt? ts; ${times}`,
    indexes: 'tenantId; tenantId kind; createdByUserId; tenantId generatedAt; parameters :gin', perTenant: 10,
  },
  teams: {columns: `${own}; name; leaderUserId? -> users SET NULL; ${times}`, indexes: 'tenantId; tenantId name; leaderUserId', perTenant: 3},
  team_members: {
    columns: `teamId -> teams CASCADE; userId -> users CASCADE; tenantId -> tenants CASCADE; role = 'member'; joinedAt ts = CURRENT_TIMESTAMP`,
    key: 'teamId userId', indexes: 'userId; tenantId; tenantId role', perTenant: 8,
  },
})
