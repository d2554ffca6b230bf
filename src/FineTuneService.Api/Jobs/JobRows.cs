using System.Linq.Expressions;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Caching.Memory;

namespace FineTuneService.Api.Jobs;

/// <summary>
/// Reads jobs for answers. A job is polled far more often than it changes, and specification and resolutions are most of its row:
/// they are read once for each of its versions.
/// </summary>
internal static class JobRows
{
    private sealed record Texts(int Version, string Spec, string Resolutions);

    private static readonly MemoryCache Known = new(new MemoryCacheOptions { SizeLimit = 4096 });
    private static readonly Expression<Func<Job, Job>> WithoutTexts = AllBut(nameof(Job.Spec), nameof(Job.Resolutions));

    private static readonly Func<FineTuneDb, string, CancellationToken, Task<Job?>> One =
        EF.CompileAsyncQuery((FineTuneDb db, string id, CancellationToken cancel) => db.Jobs.Where(job => job.Id == id).Select(WithoutTexts).FirstOrDefault());

    public static async Task<List<Job>> ReadAsync(this IQueryable<Job> jobs, FineTuneDb db, CancellationToken cancel) => await WithTexts(await jobs.Select(WithoutTexts).ToListAsync(cancel), db, cancel);

    public static async Task<Job?> ReadJobAsync(this FineTuneDb db, string id, CancellationToken cancel) =>
        await One(db, id, cancel) is { } row ? (await WithTexts([row], db, cancel)).FirstOrDefault() : null;

    private static async Task<List<Job>> WithTexts(List<Job> rows, FineTuneDb db, CancellationToken cancel)
    {
        var texts = rows.Select(row => (row.Id, Texts: Known.Get<Texts>(row.Id), row.Version)).Where(known => known.Texts?.Version == known.Version).ToDictionary(known => known.Id, known => known.Texts!);
        var unknown = rows.Select(row => row.Id).Where(id => !texts.ContainsKey(id)).ToList();
        if (unknown.Count > 0)
            foreach (var job in await db.Jobs.IgnoreQueryFilters().Where(job => unknown.Contains(job.Id)).Select(job => new { job.Id, job.Version, job.Spec, job.Resolutions }).ToListAsync(cancel))
                texts[job.Id] = Known.Set(job.Id, new Texts(job.Version, job.Spec, job.Resolutions), new MemoryCacheEntryOptions { Size = 1 });
        rows.RemoveAll(row => !texts.ContainsKey(row.Id)); // They were deleted meanwhile.
        foreach (var row in rows)
            (row.Spec, row.Resolutions) = (texts[row.Id].Spec, texts[row.Id].Resolutions);
        return rows;
    }

    private static Expression<Func<Job, Job>> AllBut(params string[] names)
    {
        var job = Expression.Parameter(typeof(Job));
        var columns = typeof(Job).GetProperties().Where(property => property.CanWrite && !names.Contains(property.Name));
        return Expression.Lambda<Func<Job, Job>>(Expression.MemberInit(Expression.New(typeof(Job)), columns.Select(column => Expression.Bind(column, Expression.Property(job, column)))), job);
    }
}
