using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Everything the service knows, in Postgres; names are snake_case in the schema <c>finetune</c>.</summary>
public sealed class FineTuneDb(DbContextOptions<FineTuneDb> options) : DbContext(options)
{
    public const string Schema = "finetune";

    public DbSet<Dataset> Datasets => Set<Dataset>();
    public DbSet<Job> Jobs => Set<Job>();
    public DbSet<Metric> Metrics => Set<Metric>();
    public DbSet<JobEvent> Events => Set<JobEvent>();
    public DbSet<Checkpoint> Checkpoints => Set<Checkpoint>();

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.HasDefaultSchema(Schema);
        modelBuilder.Entity<Dataset>().Property(dataset => dataset.Profile).HasColumnType("jsonb");
        modelBuilder.Entity<Job>(job =>
        {
            job.Property(row => row.Status).HasConversion<string>();
            job.Property(row => row.Spec).HasColumnType("jsonb");
            job.Property(row => row.Resolutions).HasColumnType("jsonb");
            job.Property(row => row.Faults).HasColumnType("jsonb");
            job.HasIndex(row => row.Status);
        });
        modelBuilder.Entity<Metric>().HasKey(metric => new { metric.JobId, metric.Seq, metric.Name });
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
    }
}
