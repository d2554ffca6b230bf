using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Reports;

public static class ReportsApi
{
    public static IServiceCollection AddReports(this IServiceCollection services) => services.AddScoped<ReportFiles>();

    public static void MapReports(this IEndpointRouteBuilder routes)
    {
        var reports = routes.MapGroup("/jobs").WithTags("Reports").RequireScopes("jobs");
        reports.MapGet("/{id}/report", ReadReport.Handle).Refuses(StatusCodes.Status404NotFound);
        reports.MapGet("/compare", CompareJobs.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
    }
}
