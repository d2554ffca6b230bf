using System.Diagnostics;
using FineTuneService.Api.Webhooks;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Postgres;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Npgsql;

namespace FineTuneService.Api.Tests;

/// <summary>Several processes that send messages from one database, and die.</summary>
public sealed class WebhookClaimsTests(Api api)
{
    private static readonly DateTimeOffset Now = new(2026, 11, 29, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public async Task What_a_process_held_when_it_died_is_sent_again()
    {
        var database = await CreateDatabase("recovery");
        await using var receiver = await Receiver.Start();
        receiver.Answer = async (_, cancel) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
            return 200;
        };
        await using var db = database.CreateDbContext();
        var webhook = Add(db, receiver.Url.ToString(), Now);
        await db.SaveChangesAsync(Api.Cancel);

        using var first = Start(db);
        var lost = await receiver.Next();
        await Kill(first);
        Assert.Null((await Only(db)).DeliveredAt);

        receiver.Answer = (_, _) => Task.FromResult(200);
        using var second = Start(db);
        var again = await receiver.Next();
        Assert.Equal((lost.Id, lost.Body, true), (again.Id, again.Body, again.IsSignedWith(webhook.Secret)));
        while ((await Only(db)).DeliveredAt is null)
            await Task.Delay(20, Api.Cancel);
        await Kill(second);
        Assert.True(receiver.IsIdle);
        Assert.Equal(2, (await Only(db)).Attempts);
    }

    [Fact]
    public async Task Nobody_takes_what_another_holds_until_its_lease_has_run_out()
    {
        var database = await CreateDatabase("claims");
        await using (var db = database.CreateDbContext())
        {
            foreach (var number in Enumerable.Range(0, 40))
                Add(db, $"https://example.com/{number}", Now.AddSeconds(-number));
            await db.SaveChangesAsync(Api.Cancel);
        }
        var claims = Claims(database, Now);
        var taken = (await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => claims.Take([], most: 5, Api.Cancel)))).SelectMany(messages => messages).ToList();
        while (await claims.Take([], most: 40, Api.Cancel) is { Count: > 0 } rest) // Who came second to a row may have got less than there was.
            taken.AddRange(rest);
        Assert.Equal(40, taken.Count);
        Assert.Equal(40, taken.Select(claimed => claimed.Message.Id).Distinct().Count());
        Assert.All(taken, claimed => Assert.Equal((1, claimed.Webhook.Id), (claimed.Message.Attempts, claimed.Message.WebhookId)));

        var later = Claims(database, Now.AddSeconds(31));
        Assert.Equal(40, (await later.Take([], most: 100, Api.Cancel)).Count);
        await claims.Deliver(taken[0].Message, new(200, null), Api.Cancel); // By now it is another's.
        await using (var db = database.CreateDbContext())
            Assert.False(await db.WebhookDeliveries.AnyAsync(row => row.DeliveredAt != null, Api.Cancel));
    }

    [Fact]
    public async Task A_receiver_gets_its_messages_one_by_one_the_oldest_first()
    {
        var database = await CreateDatabase("lanes");
        await using var db = database.CreateDbContext();
        var (one, two) = (Add(db, "https://example.com/1", Now.AddSeconds(-2)), Add(db, "https://example.com/2", Now));
        db.WebhookDeliveries.Add(WebhookMessage.To(one.Id, WebhookMessage.Test, "{}", Now.AddSeconds(-1)));
        await db.SaveChangesAsync(Api.Cancel);
        var claims = Claims(database, Now);

        var taken = await claims.Take([two.Id], most: 10, Api.Cancel);
        Assert.Equal(Now.AddSeconds(-2), Assert.Single(taken).Message.CreatedAt);
        Assert.Equal(two.Id, Assert.Single(await claims.Take([one.Id], most: 10, Api.Cancel)).Webhook.Id);
        Assert.Equal(Now.AddSeconds(-1), Assert.Single(await claims.Take([two.Id], most: 10, Api.Cancel)).Message.CreatedAt);
    }

    [Fact]
    public async Task Waits_grow_and_old_messages_are_forgotten()
    {
        var database = await CreateDatabase("waits");
        await using var db = database.CreateDbContext();
        Add(db, "https://example.com", Now);
        await db.SaveChangesAsync(Api.Cancel);
        var now = Now;
        foreach (var (attempt, wait) in new[] { 5.0, 25, 125, 625, 3125, 15_625, 43_200 }.Index())
        {
            await Claims(database, now).Fail(Assert.Single(await Claims(database, now).Take([], most: 1, Api.Cancel)).Message, new(500, "It answered 500."), Api.Cancel);
            var next = (await Only(db)).NextAttemptAt!.Value;
            Assert.InRange((next - now).TotalSeconds, 0.75 * wait, 1.25 * wait);
            Assert.Equal(attempt + 1, (await Only(db)).Attempts);
            now = next;
        }
        await Claims(database, now).Fail(Assert.Single(await Claims(database, now).Take([], most: 1, Api.Cancel)).Message, new(500, "It answered 500."), Api.Cancel);
        Assert.Equal((now, null, 500), ((await Only(db)).DeadAt, (await Only(db)).NextAttemptAt, (await Only(db)).LastStatus));

        await Claims(database, Now.AddDays(30)).Forget(Api.Cancel);
        await Only(db);
        await Claims(database, Now.AddDays(31)).Forget(Api.Cancel);
        Assert.Empty(await db.WebhookDeliveries.ToListAsync(Api.Cancel));
    }

    private static DeliveryClaims Claims(PooledDbContextFactory<FineTuneDb> database, DateTimeOffset now) => new(database, Options.Create(new WebhookSettings()), new StoppedClock(now));

    private static Webhook Add(FineTuneDb db, string url, DateTimeOffset due)
    {
        var webhook = new Webhook { Id = Ids.NewWebhook(), ProjectId = Project.Default, Url = url, Secret = WebhookSecret.New(), Events = [], CreatedAt = due };
        db.Webhooks.Add(webhook);
        db.WebhookDeliveries.Add(WebhookMessage.To(webhook.Id, WebhookMessage.Test, """{"type": "webhook.test"}""", due));
        return webhook;
    }

    private static Task<WebhookDelivery> Only(FineTuneDb db) => db.WebhookDeliveries.AsNoTracking().SingleAsync(Api.Cancel);

    private Process Start(FineTuneDb db)
    {
        var process = ApiProcess.Start(Directory.CreateDirectory(Path.Combine(api.Data, "recovery")).FullName, db.Database.GetConnectionString(), null,
            ("Webhooks__Parallel", "1"), ("Webhooks__AllowPrivateAddresses", "true"), ("Webhooks__Timeout", "00:00:03"), ("Webhooks__PollInterval", "00:00:00.1"));
        _ = process.StandardOutput.ReadToEndAsync(CancellationToken.None); // A full pipe would stop it.
        return process;
    }

    private static async Task Kill(Process process)
    {
        process.Kill();
        await process.WaitForExitAsync(CancellationToken.None);
    }

    private async Task<PooledDbContextFactory<FineTuneDb>> CreateDatabase(string name)
    {
        var connection = new NpgsqlConnectionStringBuilder(api.Services.GetRequiredService<EmbeddedPostgres>().ConnectionString) { PersistSecurityInfo = true };
        await using (var admin = new NpgsqlConnection(connection.ConnectionString))
        {
            await admin.OpenAsync(Api.Cancel);
            await using var create = new NpgsqlCommand($"CREATE DATABASE {name}", admin);
            await create.ExecuteNonQueryAsync(Api.Cancel);
        }
        connection.Database = name;
        connection.MaxPoolSize = 10;
        await FineTuneDb.Migrate(connection.ConnectionString, Api.Cancel);
        return new(new DbContextOptionsBuilder<FineTuneDb>().UseNpgsql(connection.ConnectionString).UseSnakeCaseNamingConvention().Options);
    }

    private sealed class StoppedClock(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}
