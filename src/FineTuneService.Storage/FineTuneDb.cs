using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace FineTuneService.Storage;

/// <summary>Everything the service knows, in Postgres; names are snake_case in the schema <c>finetune</c>.</summary>
public sealed class FineTuneDb(DbContextOptions<FineTuneDb> options) : DbContext(options)
{
    public const string Schema = "finetune";

    private const int MigrationLock = 0x46_54_4d; // Of this service's advisory locks, the one under which the schema is made.

    /// <summary>Whose rows are seen; null: everybody's, for what the service does by itself. New rows name their project themselves.</summary>
    public string? Project { get; set; }

    public DbSet<Project> Projects => Set<Project>();
    public DbSet<ApiKey> ApiKeys => Set<ApiKey>();
    public DbSet<AuditEntry> Audit => Set<AuditEntry>();
    public DbSet<IdempotentRequest> IdempotentRequests => Set<IdempotentRequest>();
    public DbSet<Upload> Uploads => Set<Upload>();
    public DbSet<UploadPart> UploadParts => Set<UploadPart>();
    public DbSet<Webhook> Webhooks => Set<Webhook>();
    public DbSet<WebhookDelivery> WebhookDeliveries => Set<WebhookDelivery>();
    public DbSet<WorkerHost> Workers => Set<WorkerHost>();
    public DbSet<Dataset> Datasets => Set<Dataset>();
    public DbSet<Preparation> Preparations => Set<Preparation>();
    public DbSet<Job> Jobs => Set<Job>();
    public DbSet<Metric> Metrics => Set<Metric>();
    public DbSet<MetricRollup> MetricRollups => Set<MetricRollup>();
    public DbSet<JobEvent> Events => Set<JobEvent>();
    public DbSet<Checkpoint> Checkpoints => Set<Checkpoint>();
    public DbSet<Sweep> Sweeps => Set<Sweep>();
    public DbSet<SweepTrial> SweepTrials => Set<SweepTrial>();

    /// <summary>Brings the schema up to date; hosts that start at the same time wait for each other, and for a server that is only just starting.</summary>
    public static async Task Migrate(string connectionString, CancellationToken cancel = default)
    {
        // With a schema, or a role of the schema's name finds another history table once the schema exists: "$user" leads its search path.
        await using var db = new FineTuneDb(new DbContextOptionsBuilder<FineTuneDb>()
            .UseNpgsql(connectionString, npgsql => npgsql.MigrationsHistoryTable("__EFMigrationsHistory", Schema)).UseSnakeCaseNamingConvention().Options);
        // EF's own lock is on the history table, within each migration's transaction: on an empty database there is nothing to lock yet, and between two migrations it is let go.
        await using var alone = new NpgsqlConnection(connectionString);
        for (var tries = 30; ; tries--)
        {
            try
            {
                await alone.OpenAsync(cancel);
                break;
            }
            catch (NpgsqlException error) when (error.IsTransient && tries > 1)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), cancel);
            }
        }
        await using (var wait = new NpgsqlCommand($"SELECT pg_advisory_lock({MigrationLock})", alone) { CommandTimeout = 0 })
            await wait.ExecuteNonQueryAsync(cancel);
        await db.Database.MigrateAsync(cancel);
        await using var done = new NpgsqlCommand($"SELECT pg_advisory_unlock({MigrationLock})", alone);
        await done.ExecuteNonQueryAsync(cancel);
    }

    /// <summary>The job's row, which is ours until the transaction ends.</summary>
    internal Task<Job?> LockJob(string id, CancellationToken cancel) =>
        Jobs.FromSql($"SELECT * FROM finetune.jobs WHERE id = {id} FOR UPDATE").SingleOrDefaultAsync(cancel);

    /// <summary>The sweep's row, which is ours until the transaction ends.</summary>
    public Task<Sweep?> LockSweep(string id, CancellationToken cancel) =>
        Sweeps.FromSql($"SELECT * FROM finetune.sweeps WHERE id = {id} FOR UPDATE").SingleOrDefaultAsync(cancel);

    /// <summary>Wakes those who listen for this job's events, once the transaction has committed.</summary>
    internal Task Notify(string jobId, CancellationToken cancel) =>
        Database.ExecuteSqlAsync($"SELECT pg_notify({JobStates.Channel}, {jobId})", cancel);

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.HasDefaultSchema(Schema);
        modelBuilder.Entity<ApiKey>().HasIndex(key => key.Hash).IsUnique();
        modelBuilder.Entity<AuditEntry>(entry =>
        {
            entry.ToTable("audit");
            entry.Property(row => row.Id).UseIdentityAlwaysColumn();
            entry.HasIndex(row => new { row.ProjectId, row.Id });
        });
        modelBuilder.Entity<IdempotentRequest>().HasKey(row => new { row.ProjectId, row.Key });
        modelBuilder.Entity<Upload>(upload =>
        {
            upload.Property(row => row.Status).HasConversion<string>();
            upload.HasQueryFilter(row => Project == null || row.ProjectId == Project);
        });
        modelBuilder.Entity<UploadPart>().HasIndex(part => part.UploadId);
        modelBuilder.Entity<Webhook>(webhook =>
        {
            webhook.HasIndex(row => row.ProjectId);
            webhook.HasQueryFilter(row => Project == null || row.ProjectId == Project);
        });
        modelBuilder.Entity<WebhookDelivery>(delivery =>
        {
            delivery.Property(row => row.Payload).HasColumnType("jsonb");
            delivery.HasIndex(row => row.NextAttemptAt).HasFilter("next_attempt_at IS NOT NULL");
            delivery.HasIndex(row => row.WebhookId);
        });
        modelBuilder.Entity<Dataset>(dataset =>
        {
            dataset.Property(row => row.Profile).HasColumnType("jsonb");
            dataset.Property(row => row.Origin).HasColumnType("json");
            dataset.Property(row => row.ProjectId).HasDefaultValue(Storage.Project.Default);
            dataset.HasIndex(row => row.ProjectId);
            dataset.HasQueryFilter(row => Project == null || row.ProjectId == Project);
        });
        modelBuilder.Entity<Preparation>(preparation =>
        {
            preparation.Property(row => row.Kind).HasConversion<string>();
            preparation.Property(row => row.Status).HasConversion<string>();
            // Not jsonb, which refuses what may stand in messy data: "\u0000".
            preparation.Property(row => row.Request).HasColumnType("json");
            preparation.Property(row => row.Faults).HasColumnType("json");
            preparation.Property(row => row.Result).HasColumnType("json");
            preparation.HasOne<Dataset>().WithMany().HasForeignKey(row => row.DatasetId).OnDelete(DeleteBehavior.Cascade);
            preparation.HasIndex(row => row.Status).HasFilter("status IN ('Queued', 'Running')");
            preparation.HasQueryFilter(row => Project == null || row.ProjectId == Project);
        });
        modelBuilder.Entity<Job>(job =>
        {
            job.Property(row => row.Status).HasConversion<string>();
            job.Property(row => row.Spec).HasColumnType("jsonb");
            job.Property(row => row.Resolutions).HasColumnType("jsonb");
            job.Property(row => row.Faults).HasColumnType("jsonb");
            job.Property(row => row.Client).HasColumnType("jsonb");
            job.Property(row => row.ProjectId).HasDefaultValue(Storage.Project.Default);
            job.Property(row => row.DependsOn).HasDefaultValueSql("'{}'");
            job.HasQueryFilter(row => Project == null || row.ProjectId == Project);
            job.HasIndex(row => row.Status);
            job.HasIndex(row => new { row.ProjectId, row.Id });
            job.HasIndex(row => row.DependsOn).HasMethod("gin");
            job.HasIndex(row => row.SweepId);
            job.HasIndex(row => new { row.Requires, row.Priority, row.Id }).HasFilter("status IN ('Queued', 'Retrying')"); // A place in the queue is counted at every poll of a job.
        });
        modelBuilder.Entity<Metric>().HasKey(metric => new { metric.JobId, metric.Seq, metric.Name });
        modelBuilder.Entity<MetricRollup>().HasKey(rollup => new { rollup.JobId, rollup.Name, rollup.Bucket });
        modelBuilder.Entity<JobEvent>(happened =>
        {
            happened.Property(row => row.Id).UseIdentityAlwaysColumn();
            happened.Property(row => row.Data).HasColumnType("jsonb");
            happened.HasIndex(row => new { row.JobId, row.Id });
            happened.HasIndex(row => new { row.JobId, row.Seq }).IsUnique();
        });
        modelBuilder.Entity<Checkpoint>(checkpoint =>
        {
            checkpoint.HasKey(row => new { row.JobId, row.Step });
            checkpoint.Property(row => row.Metrics).HasColumnType("jsonb");
        });
        modelBuilder.Entity<Sweep>(sweep =>
        {
            sweep.Property(row => row.Status).HasConversion<string>();
            sweep.Property(row => row.Spec).HasColumnType("jsonb");
            sweep.Property(row => row.ProjectId).HasDefaultValue(Storage.Project.Default);
            sweep.HasQueryFilter(row => Project == null || row.ProjectId == Project);
            sweep.HasIndex(row => row.Status);
        });
        modelBuilder.Entity<SweepTrial>(trial =>
        {
            trial.HasKey(row => new { row.SweepId, row.Rung, row.Number });
            trial.Property(row => row.Parameters).HasColumnType("jsonb");
            trial.Property(row => row.Spec).HasColumnType("jsonb");
            trial.Property(row => row.Resolutions).HasColumnType("jsonb");
        });
    }
}
