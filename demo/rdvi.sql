-- The origin of the demo's app rdvi: departments invite people who receive benefits (RSA) to their appointments.
-- It has what rdvs has not: a trigger, a domain, tables of uuids, a table without any key, dates that are not null.

create type user_role as enum ('demandeur', 'conjoint');
create type user_title as enum ('monsieur', 'madame');
create type invitation_format as enum ('sms', 'email', 'postal');
create type participation_status as enum ('unknown', 'seen', 'excused', 'revoked', 'noshow');
create type follow_up_status as enum ('not_invited', 'invitation_pending', 'rdv_pending', 'rdv_seen', 'closed');
create type organisation_type as enum ('conseil_departemental', 'delegataire_rsa', 'france_travail', 'siae');

create domain numero_departement as varchar(3) check (value ~ '^[0-9AB]{2,3}$');

create function touch_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;

create table departments (
    id bigserial primary key,
    number numero_departement not null unique,
    name varchar not null,
    capital varchar,
    region varchar,
    pronoun varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create table organisations (
    id bigserial primary key,
    department_id bigint not null references departments,
    name varchar not null,
    slug varchar,
    email varchar,
    phone_number varchar,
    organisation_type organisation_type not null default 'conseil_departemental',
    independent_from_cd boolean default false,
    archived_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_organisations_on_active on organisations (department_id) where archived_at is null;

create table agents (
    id bigserial primary key,
    organisation_id bigint not null references organisations,
    first_name varchar,
    last_name varchar,
    email varchar not null,
    super_admin boolean not null default false,
    last_sign_in_at timestamp,
    last_sign_in_ip inet,
    connected_with_agent_connect boolean not null default false,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_agents_on_email on agents (lower(email));
comment on column agents.last_sign_in_ip is 'Adresse IP de la dernière connexion de l''agent';

create table agent_connections (
    agent_id bigint not null references agents,
    ip_address inet not null,
    user_agent text,
    connected_at timestamptz not null
);
create index index_agent_connections_on_agent_id on agent_connections (agent_id, connected_at desc);
comment on table agent_connections is 'Journal des connexions des agents ; il n''a pas de clé';

create table motif_categories (
    id bigserial primary key,
    name varchar not null,
    short_name varchar not null unique,
    optional_rdv_subscription boolean default false,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create table users (
    id bigserial primary key,
    uid varchar unique,
    department_internal_id varchar,
    affiliation_number varchar,
    role user_role,
    title user_title,
    first_name varchar not null,
    last_name varchar not null,
    birth_name varchar,
    birth_date date not null,
    nir varchar,
    france_travail_id varchar,
    email varchar,
    phone_number varchar,
    address varchar,
    tags text[] not null default '{}',
    rights_opening_date date,
    monthly_income numeric(10, 2),
    old_rdv_solidarites_user_id bigint,
    deleted_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    check (nir is null or length(nir) = 15)
);
create unique index index_users_on_nir on users (nir) where deleted_at is null;
create index index_users_on_email on users (email);
create index index_users_on_birth_date on users (birth_date, lower(last_name));
create index index_users_on_tags on users using gin (tags);
create index index_users_on_role on users (department_internal_id) where role = 'demandeur';
create trigger touch_updated_at before update on users for each row execute function touch_updated_at();
comment on table users is 'Les bénéficiaires, "demandeurs" et "conjoints"';
comment on column users.nir is 'Numéro d''inscription au répertoire (numéro de sécurité sociale), clé comprise';

create table users_organisations (
    user_id bigint not null references users on delete cascade,
    organisation_id bigint not null references organisations,
    created_at timestamp(6) not null
);
create unique index index_users_organisations on users_organisations (organisation_id, user_id);

create table follow_ups (
    id bigserial primary key,
    user_id bigint not null references users,
    motif_category_id bigint not null references motif_categories,
    status follow_up_status not null default 'not_invited',
    closed_at timestamp,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    unique (user_id, motif_category_id, id)
);
create index index_follow_ups_on_status on follow_ups (status) where status <> 'closed';

create table invitations (
    id bigserial primary key,
    uuid uuid not null,
    user_id bigint not null references users,
    follow_up_id bigint references follow_ups,
    department_id bigint references departments,
    format invitation_format not null,
    link text,
    rdv_solidarites_token varchar,
    help_phone_number varchar,
    clicked boolean not null default false,
    valid_until date,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_invitations_on_uuid on invitations (uuid);
create index index_invitations_on_format on invitations (format, created_at) where not clicked;
comment on column invitations.uuid is 'Ouvre la prise de rendez-vous sans autre preuve d''identité : un secret';

create table rdvs (
    id bigserial primary key,
    uuid uuid not null unique,
    organisation_id bigint not null references organisations,
    starts_at timestamptz not null,
    duration_in_min integer not null default 30,
    status participation_status not null default 'unknown',
    address varchar,
    context text,
    users_count integer default 0,
    created_by varchar not null default 'agent',
    cancelled_at timestamptz,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_rdvs_on_starts_at on rdvs (starts_at);

create table participations (
    id bigserial primary key,
    user_id bigint not null references users,
    rdv_id bigint not null references rdvs,
    follow_up_id bigint references follow_ups,
    status participation_status not null default 'unknown',
    convocable boolean not null default false,
    france_travail_id varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    unique (user_id, rdv_id)
);
create index index_participations_on_status on participations (status, rdv_id);

create table orientations (
    id bigserial primary key,
    user_id bigint not null references users,
    organisation_id bigint not null references organisations,
    agent_id bigint references agents,
    period daterange not null,
    previous_orientation_id bigint references orientations,
    reason text,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_orientations_on_period on orientations using gist (period);

create table user_list_uploads (
    id uuid primary key default gen_random_uuid(),
    agent_id bigint references agents,
    file_name varchar not null,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create table user_list_upload_user_rows (
    id uuid primary key default gen_random_uuid(),
    user_list_upload_id uuid not null references user_list_uploads,
    first_name varchar not null,
    last_name varchar not null,
    email varchar,
    birth_date date not null,
    cnaf_data jsonb not null default '{}',
    selected_for_invitation boolean not null default false,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_user_rows_on_cnaf_data on user_list_upload_user_rows using gin (cnaf_data);
create index index_user_rows_on_email on user_list_upload_user_rows ((cnaf_data ->> 'email'));

create table versions (
    id bigserial primary key,
    item_type varchar not null,
    item_id bigint not null,
    event varchar not null,
    whodunnit varchar,
    object_changes jsonb,
    created_at timestamp(6)
);

create table schema_migrations (
    version varchar primary key
);
