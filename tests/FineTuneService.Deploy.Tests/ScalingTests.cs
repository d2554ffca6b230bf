using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Tests;
using k8s.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace FineTuneService.Deploy.Tests;

public sealed class ScalingTests(Cluster cluster)
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string> Pools => [.. Manifests.Of<ScaledObject>().Select(pool => pool.Metadata.Name)];

    [Theory, MemberData(nameof(Pools))]
    public void Every_pool_of_workers_is_scaled_by_the_database(string name)
    {
        var scaled = Scaled(name);
        var worker = Assert.Single(Manifests.Of<V1Deployment>(), deployment => deployment.Metadata.Name == scaled.Spec.ScaleTargetRef.Name);
        Assert.Null(worker.Spec.Replicas); // Or every release would undo what was scaled.
        var trigger = Assert.Single(scaled.Spec.Triggers);
        Assert.Equal("postgresql", trigger.Type);
        Assert.Equal(["dbName", "host", "port", "query", "sslmode", "targetQueryValue", "userName"], trigger.Metadata.Keys.Order(StringComparer.Ordinal));
        var authentication = Assert.Single(Manifests.Of<TriggerAuthentication>(), one => one.Metadata.Name == trigger.AuthenticationRef!.Name);
        Assert.Equal(("password", "password"), (authentication.Spec.SecretTargetRef.Single().Parameter, authentication.Spec.SecretTargetRef.Single().Key));
        var hosts = new NpgsqlConnectionStringBuilder(Manifests.Settings.Data["ConnectionStrings__Postgres"]);
        Assert.Equal((hosts.Host, hosts.Database, hosts.Username), (trigger.Metadata["host"], trigger.Metadata["dbName"], trigger.Metadata["userName"]));
        Assert.True(scaled.Spec.MinReplicaCount <= scaled.Spec.MaxReplicaCount);
    }

    [Fact]
    public void No_pool_is_forgotten() =>
        Assert.Equal(Manifests.Of<V1Deployment>().Where(deployment => deployment.Metadata.Labels["app.kubernetes.io/component"] == "worker").Select(deployment => deployment.Metadata.Name), Manifests.Of<ScaledObject>().Select(pool => pool.Spec.ScaleTargetRef.Name));

    /// <summary>KEDA's queries, on real tables: a job of every state, once for any worker and twice for a GPU.</summary>
    [Theory]
    [InlineData("finetune-worker-cpu", 4)]
    [InlineData("finetune-worker-gpu", 8)]
    public async Task A_pool_is_as_large_as_what_it_has_to_do(string pool, long expected)
    {
        await using var services = await cluster.CreateDatabase();
        await using var db = await services.GetRequiredService<IDbContextFactory<FineTuneDb>>().CreateDbContextAsync(Cancel);
        foreach (var requires in new[] { null, "gpu", "gpu" })
        {
            foreach (var status in Enum.GetValues<JobStatus>())
                db.Jobs.Add(Job(status, requires, notBefore: null));
            db.Jobs.Add(Job(JobStatus.Retrying, requires, TimeProvider.System.GetUtcNow().AddHours(1)));
        }
        await db.SaveChangesAsync(Cancel);

        await using var query = services.GetRequiredService<NpgsqlDataSource>().CreateCommand(Scaled(pool).Spec.Triggers.Single().Metadata["query"]);
        Assert.Equal(expected, await query.ExecuteScalarAsync(Cancel));
    }

    private static ScaledObject Scaled(string name) => Manifests.Of<ScaledObject>().Single(pool => pool.Metadata.Name == name);

    private static Job Job(JobStatus status, string? requires, DateTimeOffset? notBefore) =>
        new() { Id = Ids.NewJob(), Status = status, Requires = requires, NotBefore = notBefore, Spec = "{}", Resolutions = "[]", CreatedAt = TimeProvider.System.GetUtcNow() };
}
