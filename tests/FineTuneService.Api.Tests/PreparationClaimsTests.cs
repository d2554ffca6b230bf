using FineTuneService.Api.Preparations;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

public sealed class PreparationClaimsTests(Api api)
{
    private const string Nobodys = "proj_nobodys"; // Lists of others are not to show what was never uploaded.

    private PreparationClaims Claims => api.Services.GetRequiredService<PreparationClaims>();

    [Fact]
    public async Task What_a_silent_host_had_is_taken_by_another_and_the_first_is_refused()
    {
        var id = await Running();
        var ours = await Find(id);
        Assert.True(await Claims.Tell(ours, new() { Phase = "reading", Fraction = 0.5 }, Api.Cancel));
        await api.InDatabase(db => db.Preparations.Where(row => row.Id == id).ExecuteUpdateAsync(row => row.SetProperty(one => one.Attempt, one => one.Attempt + 1), Api.Cancel)); // Another has taken it.

        Assert.False(await Claims.Tell(ours, null, Api.Cancel));
        Assert.False(await Claims.Succeed(ours, "{}", [], Api.Cancel));
        await Claims.Fail(ours, "stale", [], Api.Cancel);
        var now = await Find(id);
        Assert.Equal((PreparationStatus.Running, "reading", 0.5, (string?)null), (now.Status, now.Phase, now.Progress, now.Reason));
        Assert.True(await Claims.Succeed(now, """{"text": "\u0000"}""", [], Api.Cancel)); // Messy data have such.
        Assert.Equal((PreparationStatus.Succeeded, 1.0), ((await Find(id)).Status, (await Find(id)).Progress));
    }

    [Fact]
    public async Task One_that_is_deleted_is_no_longer_anybodys()
    {
        var id = await Running();
        var ours = await Find(id);
        await api.InDatabase(db => db.Datasets.Where(row => row.Id == ours.DatasetId).ExecuteDeleteAsync(Api.Cancel));

        Assert.False(await Claims.Tell(ours, null, Api.Cancel));
        Assert.False(await api.InDatabase(db => db.Preparations.AnyAsync(row => row.Id == id, Api.Cancel)));
    }

    /// <summary>One that a host has, which is alive: nobody else takes it.</summary>
    private Task<string> Running() => api.InDatabase(async db =>
    {
        var now = TimeProvider.System.GetUtcNow();
        var dataset = new Dataset { Id = Ids.NewDataset(), ProjectId = Nobodys, Name = "x", FileName = "x.csv", Format = "csv", Sha256 = "", Bytes = 1, Rows = 1, Profile = "{}", CreatedAt = now };
        var row = new Preparation { Id = Ids.NewPreparation(), ProjectId = Nobodys, DatasetId = dataset.Id, Kind = PreparationKind.Report, Status = PreparationStatus.Running, Request = "{}", Attempt = 1, HeartbeatAt = now, CreatedAt = now };
        db.Datasets.Add(dataset);
        db.Preparations.Add(row);
        await db.SaveChangesAsync(Api.Cancel);
        return row.Id;
    });

    private Task<Preparation> Find(string id) => api.InDatabase(db => db.Preparations.AsNoTracking().SingleAsync(row => row.Id == id, Api.Cancel));
}
