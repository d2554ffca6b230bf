using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Exports;

public static class ExportsApi
{
    public static void MapExports(this IEndpointRouteBuilder routes)
    {
        var exports = routes.MapGroup("/jobs/{id}").WithTags("Exports").RequireScope("jobs:read");
        exports.MapGet("/metrics.csv", DownloadMetrics.Handle).Produces(StatusCodes.Status200OK, contentType: "text/csv").Refuses(StatusCodes.Status404NotFound);
        exports.MapGet("/metrics.parquet", DownloadMetricsParquet.Handle).Produces(StatusCodes.Status200OK, contentType: "application/vnd.apache.parquet").Refuses(StatusCodes.Status404NotFound);
        exports.MapGet("/tensorboard", DownloadTensorBoard.Handle).Produces(StatusCodes.Status200OK, contentType: "application/x-tar").Refuses(StatusCodes.Status404NotFound);
        exports.MapGet("/wandb", DownloadWandb.Handle).Produces(StatusCodes.Status200OK, contentType: "application/x-tar").Refuses(StatusCodes.Status404NotFound);
        exports.MapGet("/report.html", DownloadReport.Handle).Produces(StatusCodes.Status200OK, contentType: "text/html").Refuses(StatusCodes.Status404NotFound);
    }
}
