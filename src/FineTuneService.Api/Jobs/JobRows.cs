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

    public static async Task<List<Job>> ReadAsync(this IQueryable<Job> jobs, FineTuneDb db, CancellationToken cancel)
    {
        var rows = await jobs.Select(WithoutTexts).ToListAsync(cancel);
        var unknown = rows.Where(row => Known.Get<Texts>(row.Id)?.Version != row.Version).Select(row => row.Id).ToList();
        var fresh = unknown.Count == 0 ? [] : await db.Jobs.IgnoreQueryFilters().Where(job => unknown.Contains(job.Id))
            .ToDictionaryAsync(job => job.Id, job => new Texts(job.Version, job.Spec, job.Resolutions), cancel);
        foreach (var (id, texts) in fresh)
            Known.Set(id, texts, new MemoryCacheEntryOptions { Size = 1 });
        foreach (var row in rows)
            if ((fresh.GetValueOrDefault(row.Id) ?? Known.Get<Texts>(row.Id)) is { } texts)
                (row.Spec, row.Resolutions) = (texts.Spec, texts.Resolutions);
        return [.. rows.Where(row => row.Spec is not null)]; // But for those that were deleted meanwhile.
    }

    private static Expression<Func<Job, Job>> AllBut(params string[] names)
    {
        var job = Expression.Parameter(typeof(Job));
        var columns = typeof(Job).GetProperties().Where(property => property.CanWrite && !names.Contains(property.Name));
        return Expression.Lambda<Func<Job, Job>>(Expression.MemberInit(Expression.New(typeof(Job)), columns.Select(column => Expression.Bind(column, Expression.Property(job, column)))), job);
    }
}
